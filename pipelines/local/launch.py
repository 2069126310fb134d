"""Start a run's process, follow it, and end it with everything that it started."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from components.core import project
from pipelines.local import processes
from pipelines.runs import folder
from pipelines.runs.folder import Run
from pipelines.runs.progress import RunProgress

if TYPE_CHECKING:
    from pipelines.local.container_engine import Engine

TEMPORARY = "tmp"
POLL_S = 0.2


@contextmanager
def received_signals() -> Iterator[list[int]]:
    """A list of each SIGINT, SIGTERM and SIGHUP that arrives; meanwhile they do not end this process.

    ``nohup`` is respected: a SIGHUP that was ignored stays ignored.
    """
    received: list[int] = []
    handled = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        handled.append(signal.SIGHUP)
    before = {number: signal.signal(number, lambda number, _: received.append(number)) for number in handled}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def follow(
    run: Run,
    signals: list[int],
    progress: RunProgress,
    *,
    engine: "Engine | None",
    cache: bool,
    debug: bool,
    show: Callable[[RunProgress], None],
) -> int:
    """Run a run's pipeline and return its process's exit status.

    Args:
        signals: the list of ``received_signals``: one in it ends the run within seconds.
        progress: is kept up to date.
        engine: runs the steps in containers; None for processes.
        cache: whether results of other runs are reused.
        debug: whether a step's exceptions pass with their traceback.
        show: called several times a second.

    Raises:
        StepError: another process is at work on this run.
    """
    with run.locked() as locks:
        (run.folder / "log").mkdir(exist_ok=True)
        shutil.rmtree(run.folder / TEMPORARY, ignore_errors=True)
        (run.folder / TEMPORARY).mkdir()
        if engine:
            engine.watch(run.folder)
        child, lifeline = _start(run, locks, _environment(run, engine, cache, debug))
        try:
            while child.poll() is None and not signals:
                progress.read()
                show(progress)
                with suppress(subprocess.TimeoutExpired):
                    child.wait(POLL_S)
        finally:
            processes.end(child)
            os.close(lifeline)
            if engine:
                engine.close()
            shutil.rmtree(run.folder / TEMPORARY, ignore_errors=True)
        progress.read()
        show(progress)
        return child.returncode


def _start(run: Run, locks: tuple[int, ...], environment: dict[str, str]) -> tuple["subprocess.Popen[bytes]", int]:
    """The process, in a session of its own, and the end of the pipe that keeps it alive."""
    read_end, write_end = os.pipe()
    command = [sys.executable, "-P", "-m", "pipelines.local", str(run.folder), str(read_end)]
    try:
        with (run.folder / "log" / "runner.log").open("ab") as log:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
                pass_fds=(read_end, *locks),
            )
    finally:
        os.close(read_end)
    return child, write_end


def _environment(run: Run, engine: "Engine | None", cache: bool, debug: bool) -> dict[str, str]:
    shared = run.root / folder.CACHES["docker" if engine else "subprocess"]
    return {
        **os.environ,
        **project.environment(),
        # A folder named components in the current folder must not shadow ours.
        "PYTHONSAFEPATH": "1",
        "PYTHONUNBUFFERED": "1",
        # Names of classes and files are printed and logged, whatever the terminal's encoding is.
        "PYTHONUTF8": "1",
        "PYTHONIOENCODING": "utf-8",
        "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2"),
        # kfp leaves a folder behind for each step.
        "TMPDIR": str(run.folder / TEMPORARY),
        "SUANLI_RUN": str(run.folder),
        # Without the shared cache a run still remembers its own results, to be resumed.
        "SUANLI_CACHE": str(shared if cache else run.folder / "finished"),
        "SUANLI_DEBUG": "1" if debug else "",
        **({"DOCKER_HOST": engine.host} if engine else {}),
    }
