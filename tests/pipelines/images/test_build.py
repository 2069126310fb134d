"""What an image is built from in a project: the context holds its files, and tags cover those that a step uses."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from components.core import project, sources
from components.core.choices import Room
from components.steps import STEPS
from pipelines.cli.main import main
from pipelines.compile import compiler
from pipelines.images import build, names

CHOSEN: dict[Room, str] = {"data": "shapes", "models": "our_net", "tasks": "image_classification"}
OURS: dict[Room, str] = {"data": "digits", "models": "cnn", "tasks": "image_classification"}


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a data source, a model that stands on shared files, and much that no image needs."""
    monkeypatch.delenv(project.VARIABLE, raising=False)
    assert main(["init", str(tmp_path / "team")]) == 0
    monkeypatch.chdir(tmp_path / "team")
    for kind, name in (("data", "shapes"), ("model", "our_net"), ("model", "idle"), ("experiment", "mine")):
        assert main(["new", kind, name]) == 0
    for path, text in {
        "models/_blocks.py": "from ..shared import sizes\n",
        "shared/sizes.py": "WIDTH = 8\n",
        "layers/ours.py": "import keras\n",
        "data/pictures/cat/1.png": "no picture",
        "runs/latest/secret.py": "",
        "pipelines/__init__.py": "raise RuntimeError('theirs')",
    }.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)
    with Path("models/our_net.py").open("a") as file:
        file.write("\n\ndef blocks():\n    from . import _blocks\n\n    return _blocks\n")
    return Path.cwd()


def tags(chosen: dict[Room, str]) -> dict[str, str]:
    return {step: compiler.image_tag(step, chosen) for step in STEPS}


def changed(team: Path, path: str) -> set[str]:
    """The steps of the project's experiment whose tags an edit of a file changes; it is taken back."""
    before, text = tags(CHOSEN), (team / path).read_text()
    (team / path).write_text(f"{text}# an edit\n")
    after = tags(CHOSEN)
    (team / path).write_text(text)
    return {step for step in STEPS if before[step] != after[step]}


def test_a_tag_covers_exactly_the_files_that_its_step_uses(team: Path) -> None:
    ours = tags(OURS)
    after_prepare = {"train", "evaluate", "export"}
    assert changed(team, "models/our_net.py") == after_prepare
    assert changed(team, "models/_blocks.py") == after_prepare
    assert changed(team, "shared/sizes.py") == after_prepare
    assert changed(team, "data/shapes.py") == {"prepare"}
    for other in ("models/idle.py", "layers/ours.py", "experiments/mine.py", "suanli.toml"):
        assert changed(team, other) == set(), other
    (team / "models/our_net.py").write_text("# an edit")
    assert tags(OURS) == ours, "no file of theirs is in the tags of our choices"


def test_equal_files_in_another_path_have_equal_tags_and_two_projects_their_own(
    team: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = shutil.copytree(team, tmp_path / "a b" / "autre équipe")
    here = tags(CHOSEN)
    monkeypatch.chdir(other / "data")
    assert tags(CHOSEN) == here
    (other / "models/_blocks.py").write_text("# theirs\n")
    assert {step for step, tag in tags(CHOSEN).items() if tag != here[step]} == {"train", "evaluate", "export"}
    assert set(tags(CHOSEN).values()) <= set(names.tags("cpu"))
    monkeypatch.chdir(team)
    assert tags(CHOSEN) == here and set(here.values()) <= set(names.tags("cpu"))


def test_an_image_has_the_tags_that_a_compiled_pipeline_names(team: Path) -> None:
    assert set(tags(CHOSEN).values()) <= set(names.tags("cpu"))
    assert main(["compile", "mine", "--set", "model.name=our_net", "-o", "build/mine.yaml"]) == 0
    assert f"suanli-python-cpu:{tags(OURS | {'models': 'our_net'})['train']}" in Path("build/mine.yaml").read_text()


LOADED = """
import json
from components.core import choices, project, sources
model = choices.load("models", "our_net")
assert model.blocks().sizes.WIDTH == 8 and project.own() == project.IN_IMAGE
print(json.dumps([model.__file__, sources.digests("train", {"models": "our_net", "tasks": "image_classification"})]))
"""


def test_the_context_holds_the_project_and_an_image_finds_it_there(team: Path, tmp_path: Path) -> None:
    with build.context() as folder:
        inside = folder / "components/_project"
        files = {str(path.relative_to(inside)) for path in inside.rglob("*") if path.is_file()}
        # As in an image: no marker, no variable, another folder.
        env = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [sys.executable, "-P", "-c", LOADED], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert (folder / "images/Dockerfile").is_file() and (folder / ".dockerignore").is_file()
    assert not folder.exists()
    assert files == {
        *("data/shapes.py", "models/our_net.py", "models/idle.py", "models/_blocks.py"),
        *("shared/sizes.py", "layers/ours.py"),
    }
    file, digests = json.loads(done.stdout)
    assert file == str(inside / "models/our_net.py")
    assert digests == sources.digests("train", {"models": "our_net", "tasks": "image_classification"})


def test_a_checkout_is_its_own_context(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sources.ROOT / "docs")
    with build.context() as folder:
        assert folder == sources.ROOT


def test_an_installed_package_builds_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    with pytest.raises(Exception, match=r"has no images/Dockerfile; build in a clone of Suanli"), build.context():
        pass
