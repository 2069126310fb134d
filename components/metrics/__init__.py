"""Metrics and their confidence intervals, one file per field, and what the fields share."""
