"""Why a run failed: the step, the kind of fault and the line that says it, from its record, its exit or its log."""

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
from pipelines.runs.folder import Run

TAIL = 12
FULL_BYTES = 2**20
# What is said of the record alone, not of the failure.
UNRECORDED = re.compile(r"^error: the failure could not be recorded")
# How a shell and a container engine tell of an exit by signal: 128 and the signal's number.
SIGNALLED = 128
NOISE = re.compile(r"^\[KFP Executor .*\]: (Loading|Looking|Got executor_input|Wrote)|finished with status|^-+$")
SMALLER = "use a smaller training.batch_size, or a machine with more memory"
AGAIN = "resume the run: what is finished is kept"


@dataclass(frozen=True)
class RunFailure:
    """A failure, as ``run.json`` holds it.

    Attributes:
        step: the step that failed; ``runner`` where no step had started.
        kind: one of ``errors.EXIT_CODES``.
        message: what went wrong, in one line.
        advice: what to do about it; may be empty.
        details: the end of a traceback or of a log, where the line alone does not tell.
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
    """A run's cause, out of its record, as one line."""
    advice = record.get("advice")
    return f"{record['step']} failed: {record['message']}" + (f"; {advice}" if advice else "")


def diagnose(run: Run, started_last: str) -> RunFailure:
    """Why this run failed.

    Args:
        started_last: the step that started last; empty before the first.
    """
    told = {step: record["cause"] for step, record in run.steps().items() if "cause" in record}
    if told:
        step, found = next(iter(told.items()))
        log = _log(run, step)
        message = found["message"].strip().partition("\n")[0]
        details = found["traceback"] or _tail(run.folder / log) if found["kind"] == BUG else ""
        return RunFailure(step, found["kind"], message, found["advice"], details.strip(), log)
    step = started_last or "runner"
    log = _log(run, step)
    tail = _tail(run.folder / log)
    # A step that could not even write its record (a full disk) still says so.
    if said := [line for line in tail.splitlines() if line.startswith("error: ") and not UNRECORDED.search(line)]:
        return RunFailure(step, "resources", said[-1].removeprefix("error: "), log=log)
    if full := _full_disk(run, step):
        return RunFailure(step, full.kind, full.message, full.advice, log=log)
    return RunFailure(step, BUG, "it ended without saying why; the end of its log:", details=tail, log=log)


def _full_disk(run: Run, step: str) -> Failure | None:
    """What a step that tells nothing would have told, if there was no space even for that."""
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
    telling = [line for line in lines if line.strip() and not NOISE.search(line)]
    return "\n".join(telling[-TAIL:])


# --- a process that ended without telling why ------------------------------------------------------------------------


def record_exit(run: Run, step: str, status: int, *, out_of_memory: bool | None) -> None:
    """Add to a step's record how its process ended, unless the step itself has told why; say it in the log, too.

    Args:
        status: the exit status, negative or above 128 for a signal.
        out_of_memory: whether the kernel killed a process for want of memory meanwhile; None where nobody knows.
    """
    path = run.folder / "steps" / f"{step}.json"
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError):
        record = {"step": step, "cached": False, "started": time.time()}
    if not status or "cause" in record:
        return
    found = (EXIT_CODES["resources"] == status and _full_disk(run, step)) or from_exit_status(
        step, status, out_of_memory
    )
    print(f"error: {found}" if abs(status) > SIGNALLED or status < 0 else f"exit status {status}")
    try:
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, json.dumps(record | {"state": "died", "cause": found.cause()}, indent=1))
    except OSError as error:
        print(f"error: the failure could not be recorded: {error}")


def from_exit_status(step: str, status: int, out_of_memory: bool | None) -> Failure:
    """What an exit status says of a step that says nothing itself."""
    number = -status if status < 0 else status - SIGNALLED
    if number <= 0:
        kind = next((kind for kind, code in EXIT_CODES.items() if code == status), BUG)
        return Failure(step, kind, f"it ended with exit status {status} and told nothing")
    if number != signal.SIGKILL:
        name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
        asked = number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        return Failure(step, "preempted" if asked else BUG, f"ended by {name}", AGAIN if asked else "")
    if out_of_memory:
        return Failure(step, "memory", "killed by the system for want of memory", SMALLER)
    if out_of_memory is None:
        return Failure(step, "memory", "killed from outside, or by the system for want of memory", SMALLER)
    return Failure(step, "preempted", "killed from outside (SIGKILL)", AGAIN)
