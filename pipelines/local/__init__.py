"""Runs on this machine: one folder a run, the compiled file through kfp.local, and what became of it."""
