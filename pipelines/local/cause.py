"""Why a run failed: the step and the line that says it, from its record, else from its log."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.local.folder import Run

TAIL = 12
FULL_BYTES = 2**20
# What a shell says of a process that a signal ended.
KILLED = re.compile(r"^(Killed|Terminated|Segmentation fault|Aborted|Bus error|Illegal instruction)\b.*$", re.MULTILINE)
NOISE = re.compile(r"^\[KFP Executor .*\]: (Loading|Looking|Got executor_input|Wrote)|finished with status|^-+$")


@dataclass(frozen=True)
class Cause:
    """A failure.

    Attributes:
        step: the step that failed; ``runner`` where no step had started.
        line: what went wrong, in one line.
        details: the end of a traceback or of a log, where the line alone does not tell.
        log: the whole log, relative to the run's folder.
    """

    step: str
    line: str
    details: str
    log: str

    def record(self) -> dict[str, Any]:
        return {"step": self.step, "message": self.line, "details": self.details, "log": self.log}


def of(run: Run, started_last: str) -> Cause:
    """Why this run failed.

    Args:
        started_last: the step that started last; empty before the first.
    """
    records = run.steps()
    failed = [step for step, record in records.items() if record["state"] == "failed"]
    if failed:
        step = failed[0]
        told = records[step]["cause"]
        line = f"{told['message']}; {told['advice']}" if told["advice"] else told["message"]
        details = told["traceback"] if told["kind"] == "bug" else ""
        return Cause(step, line.strip().partition("\n")[0], details.strip(), _log(run, step))
    step = started_last or "runner"
    tail = _tail(run.folder / _log(run, step))
    # A step that could not even write its record (a full disk) still says so.
    if said := [line for line in tail.splitlines() if line.startswith("error: ")]:
        return Cause(step, said[-1].removeprefix("error: "), "", _log(run, step))
    if killed := KILLED.search(tail):
        cause = "killed from outside, or by the system for want of memory" if killed[1] == "Killed" else killed[0]
        return Cause(step, cause, "", _log(run, step))
    if shutil.disk_usage(run.folder).free < FULL_BYTES:
        return Cause(step, f"no space left for {run.root}; free some, then resume", "", _log(run, step))
    return Cause(step, "it ended without saying why; the end of its log:", tail, _log(run, step))


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
