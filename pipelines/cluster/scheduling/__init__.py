"""Scheduled experiments: their times, the server's schedules, and the file that declares them."""
