"""Runs on this machine: one process a run, the compiled file through kfp.local, steps as processes or containers."""
