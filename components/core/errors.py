"""The one exception that a step raises for a fault its user can mend."""

from typing import Literal

Kind = Literal["settings", "data", "resources", "conflict", "model"]


class StepError(Exception):
    """A fault with a cause that can be named in one line.

    Args:
        message: what is wrong and what was expected, without a final full stop.
        advice: what to do about it; may be empty.
        kind: ``settings`` and ``data`` are the user's to mend, ``resources`` is the machine's (memory, disk,
            accelerator), ``conflict`` another run's doing, ``model`` a result that fails its checks.
    """

    def __init__(self, message: str, *, advice: str = "", kind: Kind = "data") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice
        self.kind = kind

    def __str__(self) -> str:
        return f"{self.message}; {self.advice}" if self.advice else self.message
