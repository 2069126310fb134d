"""docs/extending.md as it is written: its files are put into a copy of the checkout, and its commands are run there."""

import doctest
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import copied, environment
from page import Command, File, read

from components.core.sources import ROOT

PAGE = read(ROOT / "docs" / "extending.md")
PROGRAMS = {"suanli": ["pipelines"], "pytest": ["pytest", "-q", "-p", "no:cacheprovider"]}
# They take minutes.
LONG = ("suanli run", "suanli predict", "pytest ")
LIKE = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def follow(checkout: Path, *, whole: bool) -> list[str]:
    """Do what the page says, in its order; the commands that were run."""
    done = []
    for part in PAGE:
        if isinstance(part, File):
            put(checkout / part.path, part.text)
        elif whole or not part.line.startswith(LONG):
            run(checkout, part)
            done.append(part.line)
    return done


def put(path: Path, text: str) -> None:
    """Write a file; one that a command has written is what the page shows."""
    if path.exists():
        assert path.read_text() == text
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def run(checkout: Path, command: Command) -> None:
    program, *arguments = shlex.split(command.line)
    line = [sys.executable, "-m", *PROGRAMS[program], *arguments]
    env = environment(checkout, SUANLI_RUNS=str(checkout / "runs"))
    done = subprocess.run(line, cwd=checkout, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command.line}\n{done.stdout}{done.stderr}"
    if command.printed:
        assert doctest.OutputChecker().check_output(command.printed, done.stdout, LIKE), (
            f"{command.line} prints\n{done.stdout}\nand the page says\n{command.printed}"
        )


TRIED = """
import numpy as np
from components.data import diabetes
from components.models import mlp
from components.tasks import row_regression as task
from pipelines.experiments.diabetes import EXPERIMENT

source = diabetes.source(EXPERIMENT.data)
examples = list(source.splits["train"]())
stored = task.stored(examples, source.info)
assert not stored.faults and len(stored.contents) == source.counts["train"]
rows = np.asarray(stored.contents).copy().view("<f4")
network = mlp.build(EXPERIMENT.model, **task.expected(EXPERIMENT.model, EXPERIMENT.data, None))
assert task.problem(network, source.info) == ""
network.compile(optimizer="adam", **task.compile_arguments(network, source.info))
network.fit(rows, stored.features["value"], epochs=1, verbose=0)
found = {"number": np.asarray(network(rows))[:, 0]}
true = {"value": stored.features["value"], "key": np.arange(len(rows))}
assert set(task.score(found, true, EXPERIMENT.evaluation, source.info)) == set(task.METRICS)
print(task.row(task.predictions(found, EXPERIMENT.evaluation, source.info)[0]))
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy in which everything but the long commands has been done."""
    made = copied(tmp_path_factory.mktemp("extending") / "checkout")
    assert len(follow(made, whole=False)) >= 6
    return made


def test_the_page_has_a_file_of_every_kind() -> None:
    paths = [part.path for part in PAGE if isinstance(part, File)]
    rooms = ("components/data/", "components/models/", "components/tasks/", "pipelines/", "accelerators.toml")
    assert all(any(path.startswith(room) for path in paths) for room in rooms)


def test_its_files_and_short_commands_do_what_it_says(checkout: Path) -> None:
    ours = [str(checkout / part.path) for part in PAGE if isinstance(part, File) and part.path.endswith(".py")]
    for arguments in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [Path(sys.executable).parent / "ruff", *arguments, *ours], cwd=checkout, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout


def test_its_source_model_and_task_fit_each_other(checkout: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TRIED], cwd=checkout, env=environment(checkout), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "number" in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_everything_on_the_page_happens_as_it_says(tmp_path: Path) -> None:
    checkout = copied(tmp_path / "checkout")
    follow(checkout, whole=True)
    done = subprocess.run([Path(sys.executable).parent / "mypy"], cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
