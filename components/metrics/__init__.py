"""Metrics with their intervals, one field a file, and what they share."""
