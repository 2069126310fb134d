"""A step in a fork of a process that has imported TensorFlow, which is most of what a short step costs.

Python's own fork server does it, on Linux. It starts with the first step that has something to compute, so a run that
takes everything from the cache never imports TensorFlow. The import starts no runtime, which would not survive a fork:
the first operation does. Our own code is imported by each step for itself.
"""

import multiprocessing
import os
import runpy
import signal
import sys
import tempfile
from functools import cache
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from pathlib import Path

from components.core import devices
from components.core.errors import StepError

PRELOADED = ["tensorflow"]
# The exit status of a fork whose server was killed (multiprocessing.popen_forkserver); it is then killed as an orphan.
SERVER_GONE = 255
# A lightweight component's command: a shell, its option, its line with PROGRAM, the component's source, the arguments.
PROGRAM = '"$program_path/ephemeral_component.py"'
LINE, SOURCE = 2, 3


def is_possible(backend: str) -> bool:
    """Whether steps may be forked: importing TensorFlow also imports Keras, which then keeps its backend.

    Args:
        backend: the experiment's ``training.backend``.
    """
    try:
        return sys.platform == "linux" and devices.choose_backend(backend) == "tensorflow"
    except StepError:
        return False  # the step says it


def is_plain(command: list[str]) -> bool:
    """Whether a command does nothing but run a component; others install packages first."""
    return len(command) > SOURCE and PROGRAM in command[LINE]


def run(command: list[str]) -> int:
    """Run a component's command, print what it prints, and return its exit status, negative for a signal."""
    context = _server()
    reader, writer = context.Pipe(duplex=False)
    child = context.Process(  # type: ignore[attr-defined]
        target=_execute, args=(writer, command[SOURCE], command[SOURCE + 1 :])
    )
    with reader:
        with writer:
            child.start()
        with open(reader.fileno(), closefd=False, errors="replace") as lines:
            for line in lines:
                print(line, end="")
    child.join()
    status = int(child.exitcode or 0)
    return -signal.SIGKILL if status == SERVER_GONE else status


@cache
def _server() -> BaseContext:
    """Start the fork server. Its socket lies in the temporary folder, under a name that stays short however deep the
    folder is: the path of a socket may have 107 bytes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    before, folder = tempfile.tempdir, os.open(tempfile.gettempdir(), os.O_RDONLY)
    tempfile.tempdir = f"/proc/self/fd/{folder}"  # stays open: each fork is asked for through the socket
    try:
        forkserver.ensure_running()
    finally:
        tempfile.tempdir = before
    return context


def _execute(output: Connection, source: str, arguments: list[str]) -> None:
    """What the command does, in the fork."""
    with output:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
    folder = Path(tempfile.mkdtemp())
    component = folder / "ephemeral_component.py"
    component.write_text(source, "utf-8")
    # For ps and top, whose first word would be the server's.
    Path("/proc/self/comm").write_text(arguments[arguments.index("--function_to_execute") + 1])
    os.environ["_KFP_RUNTIME"] = "true"
    sys.argv = ["executor_main", "--component_module_path", str(component), *arguments]
    runpy.run_module("kfp.dsl.executor_main", run_name="__main__", alter_sys=True)
