"""Why a run failed: the step, the kind of failure and one line about it, from its record, exit status or log."""

import json
import re
import shutil
import signal
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from components.core.errors import BUG, EXIT_CODES
from components.core.failure import Failure
from components.core.files import write_atomically
from pipelines.runs.folder import Run, read_step

TAIL = 12
FULL_BYTES = 2**20
# A line about the record alone, not about the failure.
UNRECORDED = re.compile(r"^error: the failure could not be recorded")
# A shell and a container engine report an exit by a signal as 128 and the signal's number.
SIGNALLED = 128
NOISE = re.compile(r"^\[KFP Executor .*\]: (Loading|Looking|Got executor_input|Wrote)|finished with status|^-+$")
SMALLER = "use a smaller training.batch_size, or a machine with more memory"
RESUME = "resume the run: what is finished is kept"


@dataclass(frozen=True)
class RunFailure:
    """A failure, as ``run.json`` holds it.

    Attributes:
        step: the step that failed; ``runner`` if no step had started.
        kind: one of ``errors.EXIT_CODES``.
        message: what is wrong, in one line.
        advice: what to do about it; may be empty.
        details: the end of a traceback or of a log, if the message alone does not explain the failure.
        log: the whole log, relative to the run's folder; empty for a run on a cluster.
    """

    step: str
    kind: str
    message: str
    advice: str = ""
    details: str = ""
    log: str = ""

    def record(self) -> dict[str, str]:
        return asdict(self)


def line(record: Mapping[str, Any]) -> str:
    """The failure in a run's record, as one line."""
    advice = record.get("advice")
    return f"{record['step']} failed: {record['message']}" + (f"; {advice}" if advice else "")


def diagnose(run: Run, started_last: str) -> RunFailure:
    """Why a run failed.

    Args:
        started_last: the step that started last; empty before the first.
    """
    recorded = {step: record["cause"] for step, record in run.steps().items() if "cause" in record}
    if recorded:
        step, cause = next(iter(recorded.items()))
        log = _log(run, step)
        message = cause["message"].strip().partition("\n")[0]
        details = cause["traceback"] or _tail(run.folder / log) if cause["kind"] == BUG else ""
        return RunFailure(step, cause["kind"], message, cause["advice"], details.strip(), log)
    step = started_last or "runner"
    log = _log(run, step)
    tail = _tail(run.folder / log)
    # A step that could not even write its record (a full disk) still prints the error.
    if errors := [line for line in tail.splitlines() if line.startswith("error: ") and not UNRECORDED.search(line)]:
        return RunFailure(step, "resources", errors[-1].removeprefix("error: "), log=log)
    if full := _full_disk(run, step):
        return RunFailure(step, full.kind, full.message, full.advice, log=log)
    return RunFailure(step, BUG, "it ended without saying why; the end of its log:", details=tail, log=log)


def _full_disk(run: Run, step: str) -> Failure | None:
    """The failure that a step could not report because the disk was full; None if there is space."""
    if shutil.disk_usage(run.folder).free >= FULL_BYTES:
        return None
    return Failure(step, "resources", f"no space left for {run.root}", "free some, then resume")


def _log(run: Run, step: str) -> str:
    path = Path("log") / f"{step}.log"
    return str(path if (run.folder / path).is_file() else path.with_name("runner.log"))


def _tail(path: Path) -> str:
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join([line for line in lines if line.strip() and not NOISE.search(line)][-TAIL:])


# --- a process that ended without reporting why ----------------------------------------------------------------------


def record_exit(run: Run, step: str, status: int, *, out_of_memory: bool | None) -> None:
    """Add to a step's record how its process ended, unless the step itself has reported why; print it to the log.

    Args:
        status: the exit status, negative or above 128 for a signal.
        out_of_memory: whether the kernel killed a process for lack of memory meanwhile; None if unknown.
    """
    path = run.folder / "steps" / f"{step}.json"
    record = read_step(path) or {"step": step, "cached": False, "started": time.time()}
    if not status or "cause" in record:
        return
    full = _full_disk(run, step) if status == EXIT_CODES["resources"] else None
    why = full or from_exit_status(step, status, out_of_memory)
    print(f"error: {why}" if abs(status) > SIGNALLED or status < 0 else f"exit status {status}")
    try:
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, json.dumps(record | {"state": "died", "cause": asdict(why)}, indent=1))
    except OSError as error:
        print(f"error: the failure could not be recorded: {error}")


def from_exit_status(step: str, status: int, out_of_memory: bool | None) -> Failure:
    """What an exit status means for a step that reported nothing."""
    number = -status if status < 0 else status - SIGNALLED
    if number <= 0:
        kind = next((kind for kind, code in EXIT_CODES.items() if code == status), BUG)
        return Failure(step, kind, f"it ended with exit status {status} and reported no error")
    if number != signal.SIGKILL:
        name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
        requested = number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        return Failure(step, "preempted" if requested else BUG, f"ended by {name}", RESUME if requested else "")
    if out_of_memory:
        return Failure(step, "memory", "killed by the system for lack of memory", SMALLER)
    if out_of_memory is None:
        return Failure(step, "memory", "killed from outside, or by the system for lack of memory", SMALLER)
    return Failure(step, "preempted", "killed from outside (SIGKILL)", RESUME)
