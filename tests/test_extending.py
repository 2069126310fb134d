"""docs/extending.md as it is written: its files are put into a copy of the checkout, and its commands are run there."""

import doctest
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import PARTS, copied, environment
from page import Command, File, read

from components.core.sources import ROOT

PAGE = read(ROOT / "docs" / "extending.md")
PROGRAMS = {"suanli": ["pipelines"], "pytest": ["pytest", "-q", "-p", "no:cacheprovider"]}
# They take minutes.
LONG = ("suanli run", "suanli predict", "pytest ")
LEFT = re.compile("__pycache__|docs/pictures")
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
from components.tasks import expected_arguments
from components.tasks.contract import Task
from pipelines.experiments.diabetes import EXPERIMENT

source = diabetes.source(EXPERIMENT.data)
task = Task("row_regression", source.info, EXPERIMENT.evaluation)
records = task.examples.to_records(list(source.splits["train"]()))
assert not records.faults and len(records.contents) == source.counts["train"]
rows = np.stack([np.frombuffer(row, "<f4") for row in records.contents])
network = mlp.build(EXPERIMENT.model, **expected_arguments("row_regression", EXPERIMENT.model, EXPERIMENT.data, None))
assert task.evaluation.problem(network) == ""
network.compile(optimizer="adam", **task.training.compile_arguments(network))
network.fit(rows, records.features["value"], epochs=1, verbose=0)
predicted = {"number": np.asarray(network(rows))[:, 0]}
truth = {"value": records.features["value"], "key": np.arange(len(rows))}
assert set(task.evaluation.score(predicted, truth)) == set(EXPERIMENT.evaluation.metrics)
assert len(task.report.figures(predicted, truth, None, {})) == 1
assert task.serving.from_text(",".join("1" * 10)).tolist() == [1] * 10
print(task.serving.row(task.evaluation.predictions(predicted)[0]))
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


# What ``suanli new`` wrote on the way.
WRITTEN = {"components/models/our_net.py", "tests/components/models/test_our_net.py"} | {
    *(f"components/tasks/row_regression/{name}.py" for name in ("__init__", "evaluation", "examples", "training")),
    "tests/components/tasks/test_row_regression.py",
}


def test_nothing_of_ours_is_touched(checkout: Path) -> None:
    """A source, a model, a task, an experiment, a pipeline and an accelerator are new files alone."""
    before, after = contents(ROOT), contents(checkout)
    assert [path for path in before if after.get(path) != before[path]] == []
    pages = {part.path for part in PAGE if isinstance(part, File)}
    assert after.keys() - before.keys() == pages | WRITTEN


def contents(checkout: Path) -> dict[str, bytes]:
    """Path -> content of all that is written by hand in what ``copied`` copies, and of what is new beside it."""
    files = [path for room in (*PARTS, "trials") for path in (checkout / room).rglob("*") if path.is_file()]
    files += [path for name in (*PARTS, "accelerators.toml") if (path := checkout / name).is_file()]
    named = {str(path.relative_to(checkout)): path for path in files}
    return {name: path.read_bytes() for name, path in named.items() if not LEFT.search(name)}


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
