"""The exceptions of this project, and the exit code of each kind of failure.

A step ends with the code of the failure's kind (``EXIT_CODES``; ``bug`` for any exception that is not listed here), a
command of ``suanli`` with 2 after a ``StepError``::

    TerminatedError       SIGTERM: preempted (core/failure.py; a BaseException)
    Exception
      StepError           a failure whose cause can be named in one line, of any kind; raised everywhere
        Damaged           a stored folder differs from what was written: data (storage/manifest.py)
        ContextError      no kubeconfig has the context: settings (cluster/kube/errors.py)
        ForbiddenError    the user has no right to a request: settings (cluster/kube/errors.py)
        GivenUpError      a step could not be scheduled, its run was stopped: resources (cluster/kubeflow/runs.py)
      RepeatedError       an earlier attempt at the step failed in the same way: its kind (core/failure.py)

These never leave their package: ``MismatchError`` and ``UnusableError`` (train: a checkpoint is of another training, or
cannot be read), ``RequestError``, ``NotJsonError`` and ``TooSlowError`` (cluster/kubeflow: become a ``StepError``).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from components.core.plain import one_line, visible
from components.core.secrets import mask

Kind = Literal["settings", "data", "resources", "memory", "conflict", "model", "preempted", "stalled"]
BUG = "bug"
# The exit code of a step's process: the one in sysexits.h for this kind if any, otherwise one that it leaves free.
EXIT_CODES: Mapping[str, int] = MappingProxyType(
    {
        "data": 65,  # EX_DATAERR
        BUG: 70,  # EX_SOFTWARE
        "resources": 71,  # EX_OSERR
        "conflict": 73,  # EX_CANTCREAT
        "stalled": 74,  # EX_IOERR
        "preempted": 75,  # EX_TEMPFAIL: the only one that is worth a retry as it is
        "memory": 77,
        "settings": 78,  # EX_CONFIG
        "model": 79,
    }
)
# Advice for prepared data that are damaged or gone. prepare verifies what it finds and makes damaged data anew.
PREPARE_AGAIN = "prepare the data again: run it once more, on a cluster with another data.version"
# Kinds that fail again however often they are retried.
HOPELESS = frozenset({"settings", "data", "memory", "model", BUG})


class StepError(Exception):
    """A failure whose cause can be named in one line.

    Args:
        message: what is wrong and what was expected, without a final full stop.
        advice: what to do about it; may be empty.
        kind: ``settings`` and ``data``: the user's to correct; ``resources``: the machine's (disk, accelerator,
            network); ``memory``: too little of it; ``conflict``: caused by another run; ``model``: a result that fails
            its checks; ``preempted``: the machine is taken away; ``stalled``: no progress.
    """

    def __init__(self, message: str, *, advice: str = "", kind: Kind = "data") -> None:
        # Both are shown on terminals and stored, and may quote a file's name, a setting or a server's answer.
        self.message, self.advice = one_line(printable(message)), one_line(printable(advice))
        super().__init__(self.message)
        self.kind = kind

    def __str__(self) -> str:
        return f"{self.message}; {self.advice}" if self.advice else self.message


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception of any backend says that the machine's or the device's memory ran out."""
    if type(error).__module__.partition(".")[0] == "google":
        return False  # a service's quota is "ResourceExhausted", too
    text = f"{type(error).__name__} {error}".lower()
    signs = ("memoryerror", "resourceexhausted", "resource_exhausted", "outofmemory", "out of memory")
    return any(sign in text for sign in signs)


def printable(text: str) -> str:
    """A text from outside without secrets and without control characters."""
    return visible(mask(text))
