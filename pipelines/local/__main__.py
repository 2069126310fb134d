"""The process that runs one run: ``python -m pipelines.local FOLDER LIFELINE``, in a session of its own.

kfp.local keeps state for its whole process (it replaces ``print`` and the root logger's handlers), so each run has
one. LIFELINE is the read end of a pipe whose write end only the command holds: when it closes, the command is gone, and
this process ends with everything that it started.
"""

import gc
import io
import os
import re
import select
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from components.core import progress
from components.core.plain import visible
from components.core.secrets import LineMasker
from pipelines.local import processes
from pipelines.runs.folder import Run

STARTS = re.compile(r"Executing task '([^']+)'")
ENDS = re.compile(r"Task '[^']+' finished with status")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
ORPHANS_EVERY_S = 1.0


def main(folder: Path, lifeline: int) -> int:
    """Compile the run in a folder, unless that is done, and execute it."""
    threading.Thread(target=_keep_tidy, args=(lifeline,), daemon=True).start()
    sys.stdout = logs = Logs(folder / "log")
    gc.disable()  # nothing that importing kfp and compiling make is garbage
    from pipelines.local import execution

    run = Run(folder)
    execution.compile_run(run)
    gc.enable()
    try:
        execution.execute(run)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        logs.flush()
    return 0


def _keep_tidy(lifeline: int) -> None:
    """End what a killed step left behind, and everything when the command is gone."""
    os.set_inheritable(lifeline, False)
    while not select.select([lifeline], [], [], ORPHANS_EVERY_S)[0]:
        processes.end_orphans(os.getpid())
    os.killpg(0, signal.SIGKILL)


class Logs(io.TextIOBase):
    """What kfp.local prints, one raw file for each step, without its colours and its indent of four blanks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rest = ""
        self.masker = LineMasker()
        self.stream = self._open("runner")

    def _open(self, name: str) -> TextIO:
        return (self.folder / f"{name}.log").open("a", buffering=1, errors="replace")

    def write(self, text: str) -> int:
        *lines, self.rest = (self.rest + text).split("\n")
        for line in lines:
            # On a full disk the log can be spared; the failure is reported elsewhere.
            with suppress(OSError):
                self._line(visible(self.masker.mask(COLOUR.sub("", line))))
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
