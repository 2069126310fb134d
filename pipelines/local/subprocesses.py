"""A step as a process of this machine: how kfp.local runs it, and what its exit status means."""

import shlex
from collections.abc import Callable
from functools import partial
from typing import Any

from kfp import local
from kfp.local import subprocess_task_handler

from components.core import memory
from pipelines.runs import failure
from pipelines.runs.folder import Run

# In the shell line of a lightweight component.
PROGRAM = '"$program_path/ephemeral_component.py"'


def runner(run: Run) -> local.SubprocessRunner:
    """kfp's runner for processes, with two changes.

    kfp 2.17 drops the exit status; here it is recorded for a step that reported nothing. And it puts the interpreter's
    path in place of the word python3 wherever that stands, without quotes; here only in the shell line, quoted, so that
    a checkout, a setting or the folder of runs may have any name.
    """
    original = subprocess_task_handler.run_local_subprocess
    subprocess_task_handler.run_local_subprocess = partial(_run, run, original)
    subprocess_task_handler.replace_python_executable = with_interpreter
    return local.SubprocessRunner(use_venv=False)


def _run(run: Run, original: Callable[..., int], *, full_command: list[str], **others: Any) -> int:
    before = memory.oom_kills()
    status = original(full_command=full_command, **others)
    killed = None if before is None else (memory.oom_kills() or 0) > before
    failure.record_exit(run, step_of(full_command), status, out_of_memory=killed)
    return status


def with_interpreter(full_command: list[str], new_executable: str) -> list[str]:
    """A step's command with an interpreter in its shell line; the rest are our code and its arguments."""
    return [
        part.replace(" python3 ", f" {shlex.quote(new_executable)} ") if PROGRAM in part and '"$@"' in part else part
        for part in full_command
    ]


def step_of(command: list[str]) -> str:
    """The step that a command runs. The image does not tell: kfp.local leaves a parameter in its place."""
    return command[command.index("--function_to_execute") + 1]
