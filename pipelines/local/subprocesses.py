"""A step as a process of this machine: how kfp.local runs it, and what its exit status means."""

from collections.abc import Callable
from functools import partial
from typing import Any

from kfp import local
from kfp.local import subprocess_task_handler

from components.core import memory
from pipelines.runs import failure
from pipelines.runs.folder import Run


def runner(run: Run) -> local.SubprocessRunner:
    """kfp's runner for processes, which drops the exit status; here it is recorded for a step that reported nothing."""
    original = subprocess_task_handler.run_local_subprocess
    subprocess_task_handler.run_local_subprocess = partial(_run, run, original)
    return local.SubprocessRunner(use_venv=False)


def _run(run: Run, original: Callable[..., int], *, full_command: list[str], **others: Any) -> int:
    before = memory.oom_kills()
    status = original(full_command=full_command, **others)
    killed = None if before is None else (memory.oom_kills() or 0) > before
    failure.record_exit(run, step_of(full_command), status, out_of_memory=killed)
    return status


def step_of(command: list[str]) -> str:
    """The step that a command runs. The image does not tell: kfp.local leaves a parameter in its place."""
    return command[command.index("--function_to_execute") + 1]
