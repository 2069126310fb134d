"""The process that runs one run: ``python -m pipelines.local FOLDER LIFELINE``, in a session of its own.

kfp.local keeps state for its whole process (it replaces ``print`` and the root logger's handlers), so each run has
one. LIFELINE is the read end of a pipe whose write end only the command holds: when it closes, the command is gone, and
everything here goes too.
"""

import gc
import io
import json
import os
import re
import select
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from components.core import progress
from components.core.errors import told
from pipelines.local import processes

STARTS = re.compile(r"Executing task '([^']+)'")
ENDS = re.compile(r"Task '[^']+' finished with status")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
ORPHANS_EVERY_S = 1.0


def main(folder: Path, lifeline: int) -> int:
    """Compile what the record asks for, unless that is done, and run it."""
    threading.Thread(target=_keep_tidy, args=(lifeline,), daemon=True).start()
    logs = Logs(folder / "log")
    sys.stdout = logs
    compiled = folder / "pipeline.yaml"
    gc.disable()  # until kfp is imported: none of what that makes is garbage
    if not compiled.is_file():
        _compile(folder, compiled)
    from kfp import components, local

    gc.enable()
    local.init(
        runner=_runner(folder),
        pipeline_root=str(folder / "artifacts"),
        raise_on_error=True,
    )
    try:
        components.load_component_from_file(str(compiled))()
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        logs.flush()
    return 0


def _runner(folder: Path) -> Any:
    from pipelines.local import containers, subprocesses
    from pipelines.runs.folder import Run

    record = json.loads((folder / "run.json").read_text())
    if record.get("runner") != "docker":
        return subprocesses.runner(Run(folder))
    return containers.runner(Run(folder), record)


def _keep_tidy(lifeline: int) -> None:
    """End what a killed step left, and everything when the command is gone."""
    os.set_inheritable(lifeline, False)
    while not select.select([lifeline], [], [], ORPHANS_EVERY_S)[0]:
        processes.end_orphans(os.getpid())
    os.killpg(0, signal.SIGKILL)


def _compile(folder: Path, path: Path) -> None:
    from components.core.files import write_atomically
    from pipelines.compile.compiler import compile_experiment
    from pipelines.compile.targets import Target
    from pipelines.experiment import PIPELINE, Experiment, NamedExperiment
    from pipelines.hardware.variant import Variant

    record: dict[str, Any] = json.loads((folder / "run.json").read_text())
    asked = Experiment.from_sections(record["parameters"], record.get("pipeline", PIPELINE))
    named = NamedExperiment(record["experiment"], record["description"], asked)
    target, tag = Target(**record["target"]), lambda step, _: record["images"][step]
    # kfp.local would retry what a cluster would not: it takes every failure for a preemption. Here one resumes.
    once = Variant(retries=0)
    write_atomically(path, compile_experiment(named, target, tag, record["freshness"], once))


class Logs(io.TextIOBase):
    """What kfp.local prints, one raw file a step: without its colours and without the four blanks it puts before."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rest = ""
        self.stream = self._open("runner")

    def _open(self, name: str) -> TextIO:
        return (self.folder / f"{name}.log").open("a", buffering=1, errors="replace")

    def write(self, text: str) -> int:
        *lines, self.rest = (self.rest + text).split("\n")
        for line in lines:
            # On a full disk the log is what can be spared; the cause is told all the same.
            with suppress(OSError):
                self._line(told(COLOUR.sub("", line)))
        return len(text)

    def _line(self, line: str) -> None:
        if started := STARTS.search(line):
            self.stream.close()
            self.stream = self._open(started[1])
            progress.report(started[1], state="starting")
        self.stream.write(line.removeprefix("    ") + "\n")
        if ENDS.search(line):
            self.stream.close()
            self.stream = self._open("runner")

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self.stream.flush()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
