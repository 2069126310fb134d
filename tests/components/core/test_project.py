"""The team's project: where it is found, what it holds, and how its files are imported."""

import os
import sys
from pathlib import Path

import pytest

from components.core import choices, project
from components.core.errors import StepError
from components.data import folder_state, local_path, location_fault
from pipelines.local import containers

MODEL = '''"""{title}"""

from typing import ClassVar, Literal

from components.models import ModelSettings


class Settings(ModelSettings):
    interface: ClassVar[str] = "image -> classes"
    name: Literal["{name}"] = "{name}"
'''


def made(folder: Path, **models: str) -> Path:
    """A project with models: name -> first line of the docstring."""
    (folder / "models").mkdir(parents=True)
    (folder / project.MARKER).touch()
    for name, title in models.items():
        (folder / f"models/{name}.py").write_text(MODEL.format(name=name, title=title))
    return folder


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one model, which is worked in."""
    monkeypatch.delenv(project.VARIABLE, raising=False)
    folder = made(tmp_path / "équipe un", net="Ours.")
    monkeypatch.chdir(folder)
    return folder


def test_it_is_found_from_any_folder_below_and_the_nearest_wins(team: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = made(team / "experiments/inner")
    for below, root in ((team, team), (team / "experiments", team), (inner / "models", inner)):
        monkeypatch.chdir(below)
        assert project.root() == project.folder() == project.own() == root


def test_outside_of_one_everything_is_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert (project.root(), project.own(), project.folder(), project.package()) == (None, None, tmp_path, "")
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert project.root() is None and choices.names("models")


def test_a_checkout_is_one_without_files_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    checkout = Path(project.__file__).parents[2]
    monkeypatch.chdir(checkout / "pipelines/cli")
    assert (project.root(), project.own(), project.names("models")) == (checkout, None, [])


def test_the_variable_names_it_and_has_to_be_one(team: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(project.VARIABLE, str(team))
    assert project.own() == team and project.environment() == {project.VARIABLE: str(team)}
    monkeypatch.setenv(project.VARIABLE, str(tmp_path))
    with pytest.raises(StepError, match=r"is not a project: it has no suanli\.toml; unset it, or run: suanli init"):
        project.root()


def test_another_users_is_not_taken_unless_it_is_named(team: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not os.getuid():
        os.chown(team / project.MARKER, 4321, -1)  # only root may; root's own is taken by everybody
    monkeypatch.setattr(os, "getuid", lambda: 4322)
    with pytest.raises(StepError, match=r"is another user's, whose code would run; set SUANLI_PROJECT=/"):
        choices.load("models", "net")
    monkeypatch.setenv(project.VARIABLE, str(team))
    assert choices.load("models", "net")


def test_its_choices_lie_beside_ours(team: Path) -> None:
    assert {"net", "cnn"} <= set(choices.names("models"))
    assert choices.title(choices.load("models", "net")) == "Ours."
    assert choices.module_name("models", "net") == "suanli_project.models.net"
    assert choices.module_name("models", "cnn") == "components.models.cnn"


def test_a_name_that_both_have_is_refused(team: Path) -> None:
    made(team / "other", cnn="Ours, too.")
    os.chdir(team / "other")
    with pytest.raises(StepError, match=r"the model 'cnn' is one of Suanli's and .*/models/cnn\.py; rename yours"):
        choices.load("models", "cnn")
    assert choices.load("models", "resnet")


@pytest.mark.parametrize("name", ["my net", "naïve", "class", "con", "Net", "_net", "x" * 41])
def test_a_file_whose_name_no_module_has_everywhere_is_not_listed_and_told(name: str, team: Path) -> None:
    (team / f"models/{name}.py").write_text(MODEL.format(name=name, title="Ours."))
    assert name not in choices.names("models")
    with pytest.raises(StepError, match=r"is not a model's name; use a-z, 0-9 and _"):
        choices.load("models", name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def build(:\n", r"models/net\.py does not load: SyntaxError: .* \(line 1\)$"),
        ("\nimport nothing_of_the_kind", r"models/net\.py does not load: ModuleNotFoundError: .* \(line 2\)$"),
        ("import blocks", r"\(line 1\); a file beside it is imported by: from \.blocks import \.\.\.$"),
        ("from data import mine", r"a folder of the project is imported by: from \.\.data import \.\.\.$"),
        ("from . import blocks", r"models/blocks\.py does not load: ZeroDivisionError: division by zero \(line 1\)$"),
        ("raise SystemExit(3)", r"models/net\.py does not load: SystemExit: 3 \(line 1\)$"),
        ("'''Nothing.'''", r"models/net\.py: it has no class Settings; suanli new writes a model$"),
        ("x = '\x00'", r"models/net\.py does not load: (SyntaxError|ValueError): source code .*null bytes"),
    ],
)
def test_a_file_that_does_not_load_is_told_in_one_line(text: str, message: str, team: Path) -> None:
    (team / "data").mkdir()
    (team / "models/blocks.py").write_text("1 / 0")
    (team / "models/net.py").write_text(text)
    with pytest.raises(StepError, match=message) as caught:
        choices.load("models", "net")
    assert str(team) in caught.value.message and "\n" not in str(caught.value) and caught.value.kind == "settings"


def test_data_are_looked_for_where_one_stands_and_then_in_the_project(team: Path, tmp_path: Path) -> None:
    (team / "pictures").mkdir()
    (team / "trials").mkdir()
    os.chdir(team / "trials")
    assert project.path("pictures") == local_path("pictures") == team / "pictures"
    assert location_fault("pictures") == "" and folder_state("pictures") == folder_state(str(team / "pictures"))
    assert containers.user_paths({"folder": "pictures"}) == {str(team / "pictures"): "/home/suanli/pictures"}
    assert location_fault("none") == f"no such file or folder: {team}/none"
    (team / "trials/pictures").mkdir()
    assert project.path("pictures").absolute() == team / "trials/pictures"


def test_two_side_by_side_do_not_meet_in_one_process(team: Path, tmp_path: Path) -> None:
    other = made(tmp_path / "other", net="Theirs.", more="Theirs, too.")
    for folder, title, names in ((team, "Ours.", 1), (other, "Theirs.", 2), (team, "Ours.", 1)):
        os.chdir(folder)
        assert choices.title(choices.load("models", "net")) == title
        assert len(project.names("models")) == names
    assert "suanli_project.models.more" not in sys.modules


def test_folders_called_like_our_packages_are_not_imported(team: Path) -> None:
    for name in ("components", "pipelines"):
        (team / name).mkdir()
        (team / name / "__init__.py").write_text("raise RuntimeError('theirs')")
    (team / "models/net.py").write_text(MODEL.format(name="net", title="Ours.") + "from components.models import cnn\n")
    assert choices.load("models", "net").cnn is choices.load("models", "cnn")
