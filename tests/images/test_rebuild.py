"""The image again: from another path with equal sources, and after an edit."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.core import sources
from pipelines.images import names as image_names

PARTS = ("components", "images", "pipelines", "requirements", "pyproject.toml", ".dockerignore")


@pytest.fixture
def elsewhere(program: str, image: str, tmp_path: Path) -> Iterator[Path]:
    """The sources in another folder; what is built there and is not the image's is removed at the end."""
    here = tmp_path / "elsewhere"
    here.mkdir()
    for part in PARTS:
        path = sources.ROOT / part
        if path.is_dir():
            shutil.copytree(path, here / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(path, here / part)
    yield here
    if made := [name for name in names(here) if name not in image_names.local("cpu")]:
        subprocess.run([program, "rmi", *made], capture_output=True, check=False)


def edit(path: Path) -> None:
    with path.open("a") as file:
        file.write("# edited\n")


def names(checkout: Path) -> list[str]:
    return asked(checkout, "list").split()


def asked(checkout: Path, command: str) -> str:
    """What the copy's own code prints."""
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.images", command], cwd=checkout, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def layers(program: str, image: str) -> str:
    command = [program, "image", "inspect", "--format", "{{.RootFS.Layers}}", image]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_equal_sources_on_another_path_have_equal_tags_and_are_not_built_again(elsewhere: Path) -> None:
    assert names(elsewhere) == image_names.local("cpu")
    assert "there already" in asked(elsewhere, "build")


def test_an_edit_changes_the_tags_of_the_steps_that_import_it_alone(elsewhere: Path) -> None:
    before = names(elsewhere)
    edit(elsewhere / "components/export/card.py")
    changed = set(before) - set(names(elsewhere))
    assert changed == {name for name in before if ":export-" in name} != set()


def test_after_an_edit_only_the_layers_of_the_sources_are_made_anew(elsewhere: Path, program: str, image: str) -> None:
    edit(elsewhere / "components/core/errors.py")  # every step imports it
    assert "built in" in asked(elsewhere, "build")
    old, new = (layers(program, name).strip("[]").split() for name in (image, names(elsewhere)[0]))
    # The last two are the sources and the lock file beside them; below lie the base, packages and data.
    assert old[:-2] == new[:-2] and old[-2] != new[-2]


@pytest.mark.parametrize("recipe", ["images/Dockerfile", "images/install", "requirements/cpu.txt"])
def test_the_recipe_and_the_lock_file_are_in_every_tag(recipe: str, elsewhere: Path) -> None:
    before = names(elsewhere)
    edit(elsewhere / recipe)
    assert not set(before) & set(names(elsewhere))
