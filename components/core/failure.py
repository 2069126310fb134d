"""A step's failure, and how it is reported before the process ends.

It is reported in one line on stderr and in the run's record on this machine. On a cluster it is also the container's
termination message, which Argo shows as the step's message and matches with its pattern of transient errors, and
``error.json`` beside the step's outputs, which outlives the pod. Kubeflow's launcher always exits with 1, so there the
exit code says nothing (docs/failures.md).
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
from components.core.errors import BUG, EXIT_CODES, HOPELESS, PREPARE_AGAIN, StepError, out_of_memory, printable
from components.core.plain import visible

FILE = "error.json"
# The file that Kubernetes reads as a container's termination message by default, and how many bytes of it it keeps.
TERMINATION_LOG = "/dev/termination-log"
TERMINATION_BYTES = 4096
# Argo's pattern of transient errors (TRANSIENT_ERROR_PATTERN of Kubeflow 2.17's workflow controller), unchanged. The
# message of a failure that must not be retried may match it by accident, with a class called "spotted_dog" for example.
TRANSIENT = re.compile(r"(?i)(imminent node shutdown|node is shutting down|preempt|evict|spot|pod deleted)")
# What Argo retries by itself whatever the pattern says (argo-workflows 4.0.5, util/errors/errors.go).
NETWORK = re.compile(
    r"Connection closed by foreign host|TLS handshake timeout|i/o timeout|connection timed out|connection reset by peer"
    r"|http2: client connection lost|http2: server sent GOAWAY|connect: connection refused|invalid connection"
    r"|etcdserver: |upper: no more rows in"
)
# Splits such a word for the pattern, but not for a reader.
JOINER = "\u2060"
RUN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# How long writing a failure to storage may take; a node that is taken away leaves 15 s in all.
REPORT_S = 5.0
# What TensorFlow says of record files that are damaged or gone, and of our own check of those that are fetched.
UNREADABLE = re.compile(r"(?i)corrupted record|truncated record|Could not parse example|\.tfrecord-|Damaged: ")
DISK_FULL = re.compile(r"(?i)no space left on device|disk quota exceeded")
UNWRITABLE = {errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EPERM, errno.EDQUOT}


class TerminatedError(BaseException):
    """SIGTERM, raised in the main thread. It is not an ``Exception``, so that no handler for errors swallows it."""


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
        """The exit code of the step's process."""
        return EXIT_CODES[self.kind]

    def __str__(self) -> str:
        return f"{self.message}; {self.advice}" if self.advice else self.message


class RepeatedError(Exception):
    """An earlier attempt at this step has failed in a way that this attempt would repeat."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def from_exception(step: str, error: BaseException) -> Failure:
    """The failure that an exception stands for."""
    if isinstance(error, RepeatedError):
        return error.failure
    known = _disk_full(error) or (error if isinstance(error, StepError) else _from_system(error))
    trace = printable("".join(traceback.format_exception(error)[-6:]))
    if known is None:
        message = " ".join(printable(f"{type(error).__name__}: {error}").split())
        return Failure(step, BUG, message, "", trace)
    return Failure(step, known.kind, known.message, known.advice, trace)


def _disk_full(error: BaseException) -> StepError | None:
    """The error for a full disk, whatever libraries made of it; None for anything else.

    TensorFlow calls it an exhausted resource, others report a model that cannot be written.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in {errno.ENOSPC, errno.EDQUOT}:
            return _unwritable(cause)
        if match := DISK_FULL.search(str(cause)):
            return _unwritable(OSError(errno.ENOSPC, match[0]))
        cause = cause.__cause__ or cause.__context__
    return None


def _from_system(error: BaseException) -> StepError | None:
    """The error for a failure of the machine; None for anything else."""
    if isinstance(error, TerminatedError):
        return StepError(
            "preempted: asked to end (SIGTERM)", advice="run it again: finished work is kept", kind="preempted"
        )
    if out_of_memory(error):
        return StepError("out of memory", advice="use a smaller batch size or a larger machine", kind="memory")
    if type(error).__module__.startswith("tensorflow") and UNREADABLE.search(str(error)):
        lines = [line.strip() for line in str(error).splitlines() if UNREADABLE.search(line)]
        return StepError(f"the prepared data cannot be read: {lines[0][:300]}", advice=PREPARE_AGAIN, kind="data")
    if isinstance(error, OSError) and error.errno == errno.EIO:
        return StepError(f"cannot read{_at(error)}: {os.strerror(errno.EIO)}", advice="check its disk", kind="data")
    if not isinstance(error, OSError) or error.errno not in UNWRITABLE:
        return None
    return _unwritable(error)


def _unwritable(error: OSError) -> StepError:
    return StepError(
        f"cannot write{_at(error)}: {os.strerror(error.errno or errno.ENOSPC)}",
        advice="free space or choose another folder; nothing half-written is used",
        kind="resources",
    )


def _at(error: OSError) -> str:
    # A copy names its source first, then its target.
    name = error.filename2 or error.filename
    return f" at {name}" if name else ""


# --- reports ---------------------------------------------------------------------------------------------------------


def report(failure: Failure, folder: str) -> None:
    """Report a failure on stderr and, on a cluster, to Kubernetes and beside the step's outputs. Never raises.

    Args:
        folder: of the step's outputs, ``gs://`` or a path; empty if there is none to write to.
    """
    to_stderr(f"error: {failure}")
    _to_kubernetes(failure)
    if not folder:
        return
    text = json.dumps(asdict(replace(failure, traceback="")), indent=1)
    errors: list[str] = []

    def write() -> None:
        try:
            storage.write_text(storage.join(folder, FILE), text)
        except Exception as error:  # it must not hide the failure itself
            errors.append(str(error))

    # A daemon: storage that does not answer must not keep a process from ending.
    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    thread.join(REPORT_S)
    if errors or thread.is_alive():
        to_stderr(f"warning: the failure could not be written to {folder}: {errors[0] if errors else 'no answer'}")


def report_done(step: str) -> None:
    """Tell Kubernetes that a step is done, for the case that its pod fails all the same.

    Kubeflow's launcher uploads the outputs and reports to the server after the step's own process has ended. If either
    is away it ends with 1, and Argo retries it only if the step's last words say so. The new attempt finds what the
    first one has stored: training goes on at its end.
    """
    message = "the step was done; Kubeflow's launcher could not hand its result over (preempted by an outage)"
    _to_kubernetes(Failure(step, "preempted", message, "see the log of its pod; submit it again when storage answers"))


def to_stderr(line: str) -> None:
    """Write a line without Python's buffer, whose lock a hanging thread may hold."""
    try:
        os.write(2, f"{printable(line)}\n".encode(errors="replace"))
    except OSError:
        return


def _to_kubernetes(failure: Failure) -> None:
    """Write the container's termination message, if Kubernetes has provided the file for it."""
    path = Path(os.environ.get("SUANLI_TERMINATION") or TERMINATION_LOG)
    try:
        if path.is_file():
            path.write_text(termination_message(failure))
    except OSError as error:
        to_stderr(f"warning: no termination message: {error}")


def termination_message(failure: Failure) -> str:
    """The failure as one line of JSON of at most ``TERMINATION_BYTES``; Argo retries only what is worth it.

    That is a preemption, and of the machine's faults one of the network.
    """
    values = {name: visible(value) for name, value in asdict(failure).items() if name != "traceback"}
    patterns = {"preempted": (), "resources": (TRANSIENT,)}.get(failure.kind, (TRANSIENT, NETWORK))
    for pattern in patterns:
        values = {
            name: pattern.sub(lambda word: f"{word[0][0]}{JOINER}{word[0][1:]}", value)
            for name, value in values.items()
        }
    limit = max(map(len, values.values()))
    while len((text := _truncated(values, limit)).encode()) > TERMINATION_BYTES:
        limit = limit * 9 // 10
    return text


def _truncated(values: Mapping[str, str], limit: int) -> str:
    """One line of JSON whose values have at most ``limit`` characters."""
    cut = {name: value if len(value) <= limit else f"{value[:limit]}..." for name, value in values.items()}
    return json.dumps(cut, ensure_ascii=False)


def read(text: str) -> Failure | None:
    """The failure in a termination message or in ``error.json``; None if the text is neither."""
    try:
        values = json.loads(text.replace(JOINER, ""))
        failure = Failure(*(str(values[name]) for name in ("step", "kind", "message", "advice")))
    except (ValueError, KeyError, TypeError):
        return None
    return failure if failure.kind in EXIT_CODES else None


# --- retries on a cluster --------------------------------------------------------------------------------------------


def output_folder(outputs: Mapping[str, Artifact]) -> str:
    """The folder that Kubeflow gave to a task's outputs, the same for every attempt; empty if it cannot be used."""
    uri = next((artifact.uri for artifact in outputs.values()), "")
    return uri.rpartition("/")[0] if uri.startswith(("gs://", "/")) else ""


def run_of(outputs: Mapping[str, Artifact]) -> str:
    """Kubeflow's id of the run that a task's outputs, ``ROOT/PIPELINE/RUN/TASK/EXECUTION/OUTPUT``, belong to; empty if
    they lie in another folder."""
    parts = next((artifact.uri for artifact in outputs.values()), "").split("/")
    return parts[-4] if len(parts) > 4 and RUN_ID.fullmatch(parts[-4]) else ""


def of_earlier_attempt(folder: str) -> Failure | None:
    """The failure of an earlier attempt at this task, if this one would fail in the same way.

    A controller with the retry policy ``OnFailure`` or ``Always`` starts a failed step again whatever the failure was;
    this check ends such an attempt within seconds.
    """
    if not folder or os.environ.get("KFP_RETRY_INDEX", "0") in {"", "0"}:
        return None
    try:
        failure = read(storage.read_text(storage.join(folder, FILE)))
    except (StepError, OSError):
        return None
    return failure if failure and failure.kind in HOPELESS else None
