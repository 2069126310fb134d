"""``suanli init`` and ``new`` in a project: what they write passes the checks and runs, and what they refuse."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from components.core import choices, project
from components.core.choices import names
from pipelines import experiment
from pipelines.cli.main import main
from pipelines.runs import folder

TOOLS = Path(sys.executable).parent
KINDS = ("experiment", "data", "model", "task")
pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture
def team(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A fresh project, which is worked in; runs are where they are by default."""
    monkeypatch.delenv(project.VARIABLE, raising=False)
    monkeypatch.delenv("SUANLI_RUNS")
    assert main(["init", "équipe un"]) == 0
    capsys.readouterr()
    monkeypatch.chdir(here / "équipe un")
    return here / "équipe un"


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1, printed
    return printed.err


def ruff(team: Path) -> None:
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run([TOOLS / "ruff", *command, "."], cwd=team, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def content(root: Path) -> dict[str, str]:
    files = [path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {str(path.relative_to(root)): path.read_text() for path in files}


def test_a_project_has_a_place_for_everything_and_passes_its_own_checks(
    team: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert content(team).keys() == {
        *("README.md", ".gitignore", "ci.yaml", "ruff.toml", "schedules.toml", "targets.toml", "suanli.toml"),
        *("tests/test_experiments.py", "layers/.gitkeep"),
        *(f"{room}/.gitkeep" for room in ("experiments", "data", "models", "tasks")),
    }
    assert main(["compile", "--all", "--output", "build"]) == 0
    assert capsys.readouterr().out == f"there are no experiments in {team}/experiments\n"
    for kind in KINDS:
        assert main(["new", kind, f"our_{kind}"]) == 0
    ruff(team)
    steps = re.findall(r"- run: (.*)", (team / "ci.yaml").read_text())
    assert [step.split()[0] for step in steps] == ["pip", "ruff", "ruff", "pytest", "suanli"]
    assert main(steps[-1].split()[1:]) == 0
    assert [path.name for path in (team / "build").iterdir()] == ["our_experiment.yaml"]


def test_what_is_written_there_passes_its_tests(team: Path) -> None:
    for kind in KINDS:
        assert main(["new", kind, "same"]) == 0
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=team, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "9 passed" in done.stdout, done.stdout


def test_new_prints_whole_paths_from_any_folder_and_the_lists_have_the_names(
    team: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(team / "data")
    assert main(["new", "model", "net"]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == [f"{team}/models/net.py", f"{team}/tests/test_model_net.py"]
    assert main(["new", "experiment", "first"]) == 0
    assert "suanli run first" in capsys.readouterr().out
    assert "net" in names("models") and "first" in experiment.names()


def test_copies_of_ours_and_of_the_projects_own_pass_the_checks(team: Path) -> None:
    tasks = names("tasks")
    pairs = [("task", name) for name in tasks] + [("model", "cnn"), ("data", "text_file"), ("experiment", "wmt")]
    for kind, name in pairs:
        assert main(["new", kind, f"my_{name}", "--like", name]) == 0
        assert main(["new", kind, f"another_{name}", "--like", f"my_{name}"]) == 0
    ruff(team)
    for name in tasks:
        for prefix in ("my_", "another_"):
            text = "".join(path.read_text() for path in (team / "tasks" / f"{prefix}{name}").glob("*.py"))
            assert f"components.tasks.{name} " not in text and f"components.tasks.{name}." not in text
    for name in tasks:
        for role in ("examples", "training", "evaluation", "report", "serving"):
            assert choices.role(f"my_{name}", role).__module__.startswith(
                ("suanli_project.", "components.tasks.contract")
            )
    assert experiment.load("another_wmt").experiment == experiment.load("wmt").experiment


def test_experiments_import_their_neighbours_and_the_projects_files(team: Path) -> None:
    for kind, name in (("experiment", "base"), ("model", "net"), ("data", "shapes")):
        assert main(["new", kind, name]) == 0
    text = '''"""Ours."""

from dataclasses import replace

from ..data import shapes
from ..models import net
from .base import EXPERIMENT as BASE

EXPERIMENT = replace(BASE, data=shapes.Settings(), model=net.Settings(width=4))
'''
    (team / "experiments/ours.py").write_text(text)
    (team / "trials").mkdir()
    (team / "trials/ours.py").write_text(text.replace("from .base", "from ..experiments.base"))
    for which in ("ours", "experiments/ours.py", str(team / "trials/ours.py")):
        loaded = experiment.load(which)
        assert (loaded.name, loaded.experiment.model.name, loaded.experiment.data.name) == ("ours", "net", "shapes")
    changed = loaded.with_settings(["model.width=5"]).experiment
    assert changed.sections()["model"]["width"] == 5


def test_an_experiment_outside_of_any_project_imports_its_neighbour(here: Path) -> None:
    (here / "base.py").write_text('"""Base."""\n\nfrom pipelines.experiments.digits import EXPERIMENT as EXPERIMENT\n')
    (here / "mine.py").write_text('"""Mine."""\n\nfrom .base import EXPERIMENT as EXPERIMENT\n')
    assert experiment.load("mine.py").name == "mine"


def test_what_is_there_is_never_overwritten(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "models").mkdir()
    for name in ("README.md", "models/unet.py"):
        (here / name).write_text("theirs")
    assert main(["init", "."]) == 0
    told = capsys.readouterr().out
    assert f"the project is in {here}\n" in told and "left as they were: README.md\n" in told
    assert {name: content(here)[name] for name in ("README.md", "models/unet.py")} == {
        "README.md": "theirs",
        "models/unet.py": "theirs",
    }
    before = content(here)
    assert f"{here} is a project already; suanli new adds to it" in refused(capsys, "init", str(here))
    assert content(here) == before


def test_a_project_in_a_project_is_made_and_that_is_said(team: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "experiments/inner"]) == 0
    assert f"it lies in the project {team}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["init", "README.md"], "cannot write {team}/README.md/README.md: File exists"),
        (["init", "a[b]"], "{team}/a[b] has one of * ? [ \\ in its path"),
        (["init"], "Missing argument 'FOLDER'"),
        (["new", "model", "cnn"], "'cnn' is the name of another model; choose another name"),
        (["new", "experiment", "digits"], "'digits' is the name of another experiment"),
        (["new", "model", "my net"], "'my net' cannot be the name of a module"),
        (["new", "data", "con"], "'con' cannot be the name of a module; use a-z, 0-9"),
        (["new", "task", "lambda"], "'lambda' cannot be the name of a module"),
        (["new", "experiment", "größe"], "'größe' cannot be the name of a module"),
        (["new", "experiment", "ours", "--like", "digitz"], "unknown experiment 'digitz'; did you mean digits?"),
        (["new", "pipeline", "ours"], "cannot add a 'pipeline'; choose from data, experiment, model, task"),
        (["runs", "show"], "there are no runs in {team}/runs; start one with"),
        (["compile", "digits", "--target", "gke"], "unknown target 'gke'"),
        (["run", "broken"], "{team}/experiments/broken.py does not load: SyntaxError: "),
        (["run", "wmt"], "the experiment 'wmt' is one of Suanli's and {team}/experiments/wmt.py; rename yours"),
        (["run", "my run"], "{team}/experiments/my run.py: 'my run' is not an experiment's name"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_is_one_line_and_writes_nothing(
    arguments: list[str], said: str, team: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (team / "experiments/broken.py").write_text('"""Broken."""\nEXPERIMENT = (\n')
    for name in ("wmt", "my run"):
        (team / f"experiments/{name}.py").write_text('"""Ours."""\n')
    before = content(team)
    os.chdir(team / "experiments") if arguments[0] in {"runs", "compile", "run"} else None
    assert said.format(team=team) in refused(capsys, *arguments)
    assert content(team) == before


def test_an_experiment_of_another_project_is_refused(
    team: Path, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new", "experiment", "ours"]) == 0
    monkeypatch.chdir(here)
    capsys.readouterr()
    assert f"belongs to the project {team}; cd {team}" in refused(capsys, "run", str(team / "experiments/ours.py"))
    monkeypatch.setenv(project.VARIABLE, str(team))
    assert experiment.load(str(team / "experiments/ours.py")).name == "ours"
    assert folder.root() == team / "runs"


def test_lists_without_a_row_say_where_they_looked(team: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.chdir(team / "models")
    for command, said in ((["runs", "list"], "there are no runs"), (["registry", "list"], "no models are published")):
        assert main(command) == 0
        assert f"{said} in {team}/runs" in capsys.readouterr().out
        assert main([*command, "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == []


def test_the_doctor_names_the_project_and_each_file_that_does_not_load(
    team: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for room in ("data", "models"):
        (team / f"{room}/broken.py").write_text("(")
    assert main(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if str(team) in line and line.split()[:2] == ["ok", "project:"]]
    failed = [line for line in lines if line.startswith("fail") and "does not load: SyntaxError" in line]
    assert [line.split()[1].rstrip(":") for line in failed] == ["data/broken", "models/broken"]


def test_targets_schedules_and_accelerators_are_the_projects(
    team: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = re.sub(r"^# ?(?=\[|\w+ =)", "", (team / "targets.toml").read_text(), flags=re.MULTILINE)
    (team / "targets.toml").write_text(target.replace("PROJECT", "p").replace("REPOSITORY", "r").replace("BUCKET", "b"))
    (team / "accelerators.toml").write_text("[l4]\nzones = 3\n")
    assert main(["new", "experiment", "ours"]) == 0
    monkeypatch.chdir(team / "models")
    assert main(["compile", "ours", "--target", "gke", "-o", "../build/ours.yaml"]) == 0
    assert "gs://b/registry/ours" in (team / "build/ours.yaml").read_text()
    capsys.readouterr()
    assert f"{team}/accelerators.toml" in refused(capsys, "accelerators")
