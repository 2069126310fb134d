import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from kfp import dsl
from kfp.local import subprocess_task_handler

from pipelines.local import subprocesses

NAMES = ["plain", "with spaces", "模型 (1)'s", 'double " quote', "$HOME & `id`; #[x]*", "python3", "a" * 200]


@dsl.component(base_image="suanli-python", install_kfp_package=False)
def printer(text: str):
    """The text python3 stays as it is."""
    print(text)


def command(text: str) -> list[str]:
    container = printer.component_spec.implementation.container
    return [*container.command, "--executor_input", text, "--function_to_execute", "printer"]


@pytest.mark.parametrize("name", NAMES)
def test_an_interpreter_at_any_path_is_started_and_the_arguments_are_left_alone(name: str, tmp_path: Path) -> None:
    interpreter = tmp_path / name / "python3"
    interpreter.parent.mkdir()
    interpreter.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c "import sys; print(sys.argv[1:])" "$@"\n')
    interpreter.chmod(0o700)
    given = command("/runs/python3/one")
    changed = subprocesses.with_interpreter(given, str(interpreter))
    assert [part for part, before in zip(changed, given, strict=True) if part != before] == [changed[2]]
    done = subprocess.run(changed, capture_output=True, text=True, check=False, env={"TMPDIR": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("['-m', 'kfp.dsl.executor_main'") and "'/runs/python3/one'" in done.stdout


def test_it_takes_the_place_of_kfp_s_own_function() -> None:
    given = command("x")
    theirs = subprocess_task_handler.replace_python_executable(given, "/bin/python")
    assert subprocesses.with_interpreter(given, "/bin/python") == theirs
