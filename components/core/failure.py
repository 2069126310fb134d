"""What a failure is, and everywhere a step tells of it before its process ends.

Told are: one line on stderr; the run's record on this machine; on a cluster the container's termination message, which
Argo takes for the step's own and compares with its pattern of transient errors, and ``error.json`` beside the step's
outputs, which outlives the pod. Kubeflow's launcher ends with 1 whatever its process ended with, so there the exit code
itself says nothing (docs/failures.md).
"""

import errno
import json
import os
import re
import threading
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from components import storage
from components.core.artifacts import Artifact
from components.core.errors import BUG, EXIT_CODES, HOPELESS, StepError, out_of_memory, told
from components.core.plain import visible

FILE = "error.json"
# Where Kubernetes takes a container's last words from, unless its pod says otherwise, and how many of them it keeps.
TERMINATION = "/dev/termination-log"
TERMINATION_BYTES = 4096
# Argo's pattern of transient errors (TRANSIENT_ERROR_PATTERN of Kubeflow 2.17's workflow controller), word by word. A
# failure that must not be retried may be about a class called "spotted_dog" all the same.
TRANSIENT = re.compile(r"(?i)(imminent node shutdown|node is shutting down|preempt|evict|spot|pod deleted)")
# Breaks such a word for the pattern and for no reader.
JOINER = "\u2060"
# How long a failure may take to be written where others look for it; a node that goes away leaves 15 s in all.
TELL_S = 5.0
FULL = re.compile(r"(?i)no space left on device|disk quota exceeded")
UNWRITABLE = {errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EPERM, errno.EDQUOT}


class TerminatedError(BaseException):
    """SIGTERM, raised in the main thread; no ``except Exception`` on the way takes it for a fault of its own."""


@dataclass(frozen=True)
class Failure:
    """Why a step ended.

    Attributes:
        kind: one of ``EXIT_CODES``.
        message: what is wrong and what was expected, in one line.
        advice: what to do about it; may be empty.
        traceback: its end.
    """

    step: str
    kind: str
    message: str
    advice: str = ""
    traceback: str = ""

    @property
    def code(self) -> int:
        """What the step's process ends with."""
        return EXIT_CODES[self.kind]

    def __str__(self) -> str:
        return f"{self.message}; {self.advice}" if self.advice else self.message

    def cause(self) -> dict[str, str]:
        """As the records hold it."""
        return asdict(self)


class RepeatedError(Exception):
    """What an earlier attempt at this step failed of, and this one would fail of, too."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def of(step: str, error: BaseException) -> Failure:
    """What an exception means."""
    if isinstance(error, RepeatedError):
        return error.failure
    known = _disk_full(error) or (error if isinstance(error, StepError) else _from_system(error))
    trace = told("".join(traceback.format_exception(error)[-6:]))
    if known is None:
        return Failure(step, BUG, _one_line(told(f"{type(error).__name__}: {error}")), "", trace)
    return Failure(step, known.kind, known.message, known.advice, trace)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _disk_full(error: BaseException) -> StepError | None:
    """A full disk, told as one line, whatever the libraries on the way made of it; None for anything else.

    TensorFlow calls it an exhausted resource, others a model that cannot be written.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in {errno.ENOSPC, errno.EDQUOT}:
            return _unwritable(cause)
        if found := FULL.search(str(cause)):
            return _unwritable(OSError(errno.ENOSPC, found[0]))
        cause = cause.__cause__ or cause.__context__
    return None


def _from_system(error: BaseException) -> StepError | None:
    """A failure of the machine, told as one line; None for anything else."""
    if isinstance(error, TerminatedError):
        return StepError(
            "preempted: asked to end (SIGTERM)", advice="run it again: what is finished is kept", kind="preempted"
        )
    if out_of_memory(error):
        return StepError("out of memory", advice="use a smaller batch size or a larger machine", kind="memory")
    if not isinstance(error, OSError) or error.errno not in UNWRITABLE:
        return None
    return _unwritable(error)


def _unwritable(error: OSError) -> StepError:
    # A copy names what it reads from, then what it writes to.
    name = error.filename2 or error.filename
    where = f" at {name}" if name else ""
    return StepError(
        f"cannot write{where}: {os.strerror(error.errno or errno.ENOSPC)}",
        advice="free space or choose another folder; nothing half-written is used",
        kind="resources",
    )


# --- telling ---------------------------------------------------------------------------------------------------------


def tell(failure: Failure, place: str) -> None:
    """Tell of a failure on stderr and, on a cluster, to Kubernetes and beside the step's outputs. Never raises.

    Args:
        place: the folder of the step's outputs, ``gs://`` or a path; empty where there is none to write to.
    """
    say(f"error: {failure}")
    _to_kubernetes(failure)
    if place:
        kept = replace(failure, traceback="")
        faults: list[str] = []

        def put() -> None:
            try:
                storage.write_text(storage.join(place, FILE), json.dumps(kept.cause(), indent=1))
            except Exception as second:  # whatever it is, it must not stand before the failure itself
                faults.append(str(second))

        # A daemon: storage that does not answer must not keep a process that is to end.
        writing = threading.Thread(target=put, daemon=True)
        writing.start()
        writing.join(TELL_S)
        if faults or writing.is_alive():
            say(f"warning: the failure could not be written to {place}: {faults[0] if faults else 'no answer'}")


def say(line: str) -> None:
    """A line on stderr past Python's buffer, whose lock a thread that hangs may hold."""
    try:
        os.write(2, f"{told(line)}\n".encode(errors="replace"))
    except OSError:
        return


def _to_kubernetes(failure: Failure) -> None:
    """The container's termination message: the cause as one line of JSON, where Kubernetes has laid a file for it."""
    path = Path(os.environ.get("SUANLI_TERMINATION") or TERMINATION)
    try:
        if path.is_file():
            path.write_text(termination(failure))
    except OSError as error:
        say(f"warning: no termination message: {error}")


def termination(failure: Failure) -> str:
    """The cause in as many bytes as Kubernetes keeps; words of Argo's pattern stand in it for a preemption alone."""
    values = {name: visible(value) for name, value in failure.cause().items() if name != "traceback"}
    if failure.kind != "preempted":
        values = {name: TRANSIENT.sub(_broken, value) for name, value in values.items()}
    kept = max(map(len, values.values()))
    while len((text := _text(values, kept)).encode()) > TERMINATION_BYTES:
        kept = kept * 9 // 10
    return text


def _text(values: Mapping[str, str], most: int) -> str:
    """One line of JSON, with no value longer than so many characters."""
    cut = {name: value if len(value) <= most else f"{value[:most]}..." for name, value in values.items()}
    return json.dumps(cut, ensure_ascii=False)


def _broken(word: re.Match[str]) -> str:
    return f"{word[0][0]}{JOINER}{word[0][1:]}"


def read(text: str) -> Failure | None:
    """The failure in a termination message or in ``error.json``; None if it is none."""
    try:
        values = json.loads(text.replace(JOINER, ""))
        names = ("step", "kind", "message", "advice")
        found = Failure(*(str(values[name]) for name in names))
    except (ValueError, KeyError, TypeError):
        return None
    return found if found.kind in EXIT_CODES else None


# --- on a cluster, from attempt to attempt ---------------------------------------------------------------------------


def place_of(outputs: Mapping[str, Artifact]) -> str:
    """The folder that Kubeflow gave to a task's outputs, the same for each attempt; empty where it cannot be read."""
    uri = next((artifact.uri for artifact in outputs.values()), "")
    return uri.rpartition("/")[0] if uri.startswith(("gs://", "/")) else ""


def repeated(place: str) -> Failure | None:
    """What an earlier attempt at this task ended with, if this one would end the same way.

    A controller whose retry policy cannot tell a fault from a preemption starts a step again whatever it ended with
    (``OnFailure``, ``Always``); then this makes the next attempt a matter of seconds.
    """
    if not place or os.environ.get("KFP_RETRY_INDEX", "0") in {"", "0"}:
        return None
    try:
        found = read(storage.read_text(storage.join(place, FILE)))
    except (StepError, OSError):
        return None
    return found if found and found.kind in HOPELESS else None
