"""The one exception that a step raises for a fault that has a name, and the exit code of each kind of fault."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from components.core.plain import one_line, visible
from components.core.secrets import masked

Kind = Literal["settings", "data", "resources", "memory", "conflict", "model", "preempted", "stalled"]
BUG = "bug"
# A step's process ends with its kind's code: sysexits.h's where that has a name for it, else one that it leaves free.
EXIT_CODES: Mapping[str, int] = MappingProxyType(
    {
        "data": 65,  # EX_DATAERR
        BUG: 70,  # EX_SOFTWARE
        "resources": 71,  # EX_OSERR
        "conflict": 73,  # EX_CANTCREAT
        "stalled": 74,  # EX_IOERR
        "preempted": 75,  # EX_TEMPFAIL: the only one that is worth another try as it is
        "memory": 77,
        "settings": 78,  # EX_CONFIG
        "model": 79,
    }
)
# What ends the same way however often it is tried.
HOPELESS = frozenset({"settings", "data", "memory", "model", BUG})


class StepError(Exception):
    """A fault with a cause that can be named in one line.

    Args:
        message: what is wrong and what was expected, without a final full stop.
        advice: what to do about it; may be empty.
        kind: ``settings`` and ``data`` are the user's to mend, ``resources`` is the machine's (disk, accelerator,
            network), ``memory`` too little of it, ``conflict`` another run's doing, ``model`` a result that fails its
            checks, ``preempted`` a machine that is taken away, ``stalled`` work that stands still.
    """

    def __init__(self, message: str, *, advice: str = "", kind: Kind = "data") -> None:
        # It is shown on terminals and kept in records, and may repeat a file's name, a setting or a server's answer.
        self.message, self.advice = one_line(told(message)), one_line(told(advice))
        super().__init__(self.message)
        self.kind = kind

    def __str__(self) -> str:
        return f"{self.message}; {self.advice}" if self.advice else self.message


def out_of_memory(error: BaseException) -> bool:
    """Whether any backend's exception says that memory, the machine's or the device's, ran out."""
    if type(error).__module__.partition(".")[0] == "google":
        return False  # a service's quota is "ResourceExhausted", too
    told = f"{type(error).__name__} {error}".lower()
    signs = ("memoryerror", "resourceexhausted", "resource_exhausted", "outofmemory", "out of memory")
    return any(sign in told for sign in signs)


def told(text: str) -> str:
    """What may be shown and kept of a text from outside: no secret, and nothing that moves a terminal's cursor."""
    return visible(masked(text))
