"""Whole runs on a disk that fills up: what each write of a run does with "no space left on device"."""
