"""A step as a process of this machine: how kfp.local runs it, and what its exit status means."""

import os
import shlex
import subprocess
from collections.abc import Callable

from kfp import local
from kfp.local import subprocess_task_handler

from components.core import memory
from components.core.step import CACHED_ONLY, NOT_CACHED
from pipelines.local import forked
from pipelines.local.forked import PROGRAM
from pipelines.runs import failure
from pipelines.runs.folder import Run


def runner(run: Run) -> local.SubprocessRunner:
    """kfp's runner for processes, with three changes.

    Steps are forked where that saves time (``Steps``). kfp 2.17 drops the exit status; here it is recorded for a step
    that reported nothing. And it puts the interpreter's path in place of the word python3 wherever that stands, without
    quotes; here only in the shell line, quoted, so that a checkout, a setting or the folder of runs may have any name.
    """
    subprocess_task_handler.run_local_subprocess = Steps(run, subprocess_task_handler.run_local_subprocess)
    subprocess_task_handler.replace_python_executable = with_interpreter
    return local.SubprocessRunner(use_venv=False)


class Steps:
    """Runs a run's steps one after the other: as processes of their own while their results are in the cache, and from
    the first that has to compute something on as forks (``pipelines.local.forked``) if that is possible.

    Args:
        original: kfp's function, which runs any command.
    """

    def __init__(self, run: Run, original: Callable[..., int]) -> None:
        self.run, self.original = run, original
        training = run.read()["parameters"].get("training", {})
        self.forks, self.computing = forked.is_possible(training.get("backend", "auto")), False

    def __call__(self, *, full_command: list[str], env_vars: dict[str, str] | None = None) -> int:
        before = memory.oom_kills()
        status = self._status(full_command, env_vars)
        killed = None if before is None else (memory.oom_kills() or 0) > before
        failure.record_exit(self.run, step_of(full_command), status, out_of_memory=killed)
        return status

    def _status(self, command: list[str], variables: dict[str, str] | None) -> int:
        if not self.forks or variables or not forked.is_plain(command):
            return self.original(full_command=command, env_vars=variables)
        if not self.computing:
            looked = subprocess.run(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**os.environ, CACHED_ONLY: "1"},
                encoding="utf-8",
                errors="replace",
            )
            if looked.returncode != NOT_CACHED:
                print(looked.stdout)
                return looked.returncode
            self.computing = True
        return forked.run(command)


def with_interpreter(full_command: list[str], new_executable: str) -> list[str]:
    """A step's command with an interpreter in its shell line; the rest are our code and its arguments."""
    return [
        part.replace(" python3 ", f" {shlex.quote(new_executable)} ") if PROGRAM in part and '"$@"' in part else part
        for part in full_command
    ]


def step_of(command: list[str]) -> str:
    """The step that a command runs. The image does not tell: kfp.local leaves a parameter in its place."""
    return command[command.index("--function_to_execute") + 1]
