"""The command line as a whole: help, version, and what a command imports."""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.main import PANELS, load, main

COMMANDS = [name for commands in PANELS.values() for name in commands]
HEAVY = ("kfp", "kubernetes", "tensorflow", "keras", "numpy", "sklearn", "jax")


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def imported(*command_lines: list[str]) -> set[str]:
    """The modules that a process imports for these command lines."""
    script = (
        "import sys; from pipelines.cli.main import main\n"
        f"for arguments in {command_lines!r}: main(arguments)\n"
        "print('modules', *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    help_ = answer(capsys)
    assert all(f" {name} " in help_ for name in COMMANDS)
    assert answer(capsys, "--version") == f"suanli {version('suanli')}\n"
    module = subprocess.run(
        [sys.executable, "-m", "pipelines", "--version"], capture_output=True, text=True, check=True
    )
    assert module.stdout == f"suanli {version('suanli')}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_has_the_help_of_each_command(name: str) -> None:
    command: Any = load(name)
    listed = next(commands[name][1] for commands in PANELS.values() if name in commands)
    assert " ".join(command.help.partition("\n\n")[0].split()) == listed


def test_the_help_of_all_commands_imports_none_of_them() -> None:
    modules = imported(["--help"])
    assert {name for name in modules if name.startswith("pipelines.cli.")} == {
        "pipelines.cli.main",
        "pipelines.cli.output",
    }


def test_the_help_of_a_command_imports_no_heavy_library() -> None:
    assert not imported(*([name, "--help"] for name in COMMANDS)) & set(HEAVY)


def test_listing_imports_no_heavy_library() -> None:
    assert not imported(["experiments"], ["models", "--json"], ["runs", "list"]) & set(HEAVY)


def test_a_subcommand_has_the_name_of_its_group_in_its_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert " runs list [OPTIONS]" in answer(capsys, "runs", "list", "--help")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_a_terminal_cannot_show_is_escaped_and_no_damage(encoding: str, tmp_path: Path) -> None:
    name = "模型 😀 é"
    record: dict[str, Any] = {"id": "20261201-000001-digits", "status": name, "metrics": {}, "parameters": {}}
    (tmp_path / record["id"]).mkdir()
    (tmp_path / record["id"] / "run.json").write_text(json.dumps(record))
    done = subprocess.run(
        [sys.executable, "-m", "pipelines", "runs", "list", "--runs", str(tmp_path)],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    said = done.stdout.decode(encoding).splitlines()[1].removeprefix(record["id"]).strip()
    assert json.loads(f'"{said}"') == name
    assert (said == name) == (encoding == "utf-8")
