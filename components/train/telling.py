"""What training says to whoever watches the run, and to its log."""

from components.core import progress


def say(note: str) -> None:
    """One line."""
    print(note, flush=True)
    progress.report("train", note=note)
