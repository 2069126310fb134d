"""Experiments that run again and again: their times, the server's schedules, and the file that declares them."""
