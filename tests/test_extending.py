"""docs/extending.md as it is written: its files are put into a copy of the checkout, and its commands are run there."""

import doctest
import json
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from checkout import PARTS, copied, environment
from page import Command, File, Row, read

from components.core import sources
from components.core.sources import ROOT
from components.steps import STEPS
from pipelines import experiment
from pipelines.compile import compiler

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
        elif isinstance(part, Row):
            add_row(checkout / part.path, part.text)
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


def add_row(path: Path, row: str) -> None:
    """Add a row before the bracket that closes a file's only table."""
    before, bracket, after = path.read_text().partition("\n)\n")
    path.write_text(f"{before}\n{indented(row)}{bracket}{after}")


def indented(row: str) -> str:
    return f"{textwrap.indent(row.rstrip(), '    ')},"


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
    rooms += ("components/ranges/",)
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
    """All that is added are new files, but for a step's row."""
    before, after = contents(ROOT), contents(checkout)
    (row,) = [part for part in PAGE if isinstance(part, Row)]
    assert [path for path in before if after.get(path) != before[path]] == [row.path] == ["components/steps.py"]
    assert after[row.path].replace(f"\n{indented(row.text)}".encode(), b"", 1) == before[row.path]
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


KNOWN = """
import os
from components.core import sources
from pipelines import experiment
from pipelines.compile import compiler
from pipelines.images import names
from pipelines.local import containers
from pipelines.runs import folder, compare

run = folder.find(folder.root(), "latest")
record = run.read()
os.environ["SUANLI_CACHE"] = str(run.root / ".cache-docker")
store, cache = (str(run.root / name) for name in (".store", ".cache-docker"))
# The docker runner mounts what its row says: the data to read, the shared results to write.
own = str(run.folder)
assert containers.folders("ranges", run, record) == [(own, own, False), (store, store, True), (cache, cache, False)]
chosen = sources.chosen_in(record["parameters"])
assert record["images"]["ranges"] == compiler.image_tag("ranges", chosen) in names.tags("cpu")
assert not [tag for tag in names.tags("gpu") if tag.startswith("ranges")]
assert "ranges table" in [row["what"] for row in compare.reproduction(run, run)]
assert experiment.steps_of("training") == ["prepare", "train", "evaluate", "export"]
assert (run.folder / "reports/ranges.md").read_text().splitlines()[2].startswith("| age | ")
assert "Ranges of the columns" in (run.folder / "index.html").read_text()
chosen = sources.chosen_in(experiment.load("digits").experiment.sections())
print({step: compiler.image_tag(step, chosen) for step in experiment.steps_of("training")})
"""


def test_its_step_runs_and_whoever_lists_steps_knows_it(checkout: Path) -> None:
    env = environment(checkout, SUANLI_RUNS=str(checkout / "runs"))

    def suanli(*arguments: str) -> str:
        command = [sys.executable, "-m", "pipelines", *arguments]
        done = subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "export" not in suanli("run", "trials/inspected.py")
    known = subprocess.run([sys.executable, "-c", KNOWN], cwd=checkout, env=env, capture_output=True, text=True)
    assert known.returncode == 0, known.stderr
    # A new row, and all the other files of the page, leave the tags of what was there.
    chosen = sources.chosen_in(experiment.load("digits").experiment.sections())
    assert known.stdout.strip() == str({step: compiler.image_tag(step, chosen) for step in STEPS})
    # The role of its own is in its own key, and in no other.
    with (checkout / "components/tasks/row_regression/ranges.py").open("a") as file:
        file.write("# an edit\n")
    suanli("run", "trials/inspected.py")
    steps = {row["step"]: row for row in json.loads(suanli("runs", "why", "--json"))}
    assert steps["prepare"]["cached"]
    assert steps["ranges"]["changed"] == ["code components/tasks/row_regression/ranges.py"]
    assert "ranges succeeded" in suanli("step", "ranges")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_everything_on_the_page_happens_as_it_says(tmp_path: Path) -> None:
    checkout = copied(tmp_path / "checkout")
    follow(checkout, whole=True)
    done = subprocess.run([Path(sys.executable).parent / "mypy"], cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
