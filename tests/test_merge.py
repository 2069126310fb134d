"""A team's files beside ours: a newer Suanli merges without a conflict, and both sides' choices are there."""

import subprocess
import sys
from pathlib import Path

import pytest
from checkout import copied, environment, suanli

EXPERIMENT = '''"""{title}."""

from pipelines.experiments.digits import EXPERIMENT as DIGITS

EXPERIMENT = DIGITS.with_settings(["data.name={data}", "model.name={model}"])
'''
LAYER = '''"""A layer of {side}."""

import keras


@keras.saving.register_keras_serializable("suanli")
class {name}(keras.layers.Layer):
    """Twice its input."""

    def call(self, inputs):
        return 2 * inputs
'''
# What a newer Suanli changes in files that are there: at their ends, where additions would go, and at their tops.
EDITED = (
    *("components/data/digits.py", "components/models/cnn.py", "components/tasks/image_classification/__init__.py"),
    *("components/layers/text.py", "pipelines/experiments/digits.py", "pipelines/compile/compiler.py"),
    *("tests/components/models/test_models.py", "tests/components/data/test_digits.py", "README.md"),
    *("docs/extending.md", "pyproject.toml", "pipelines/cli/main.py"),
)


def git(repository: Path, *arguments: str) -> str:
    names = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.com", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", *names, *arguments],
        cwd=repository,
        env=environment(repository, GIT_CONFIG_GLOBAL="/dev/null"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def added(repository: Path, side: str) -> None:
    """One more of everything, as each side would add it."""
    for kind in ("data", "model", "task"):
        done = suanli(repository, "new", kind, f"{side}_{kind}")
        assert done.returncode == 0, done.stderr
    layer = repository / "components" / "layers" / f"{side}.py"
    layer.write_text(LAYER.format(side=side, name=f"{side.capitalize()}Doubled"))
    experiment = repository / "pipelines" / "experiments" / f"{side}_experiment.py"
    experiment.write_text(EXPERIMENT.format(title=side, data=f"{side}_data", model=f"{side}_model"))
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", f"Files of {side}")


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A team's repository after it has merged a newer Suanli."""
    repository = copied(tmp_path_factory.mktemp("merge") / "repository")
    git(repository, "init", "--quiet", "--initial-branch", "main")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "Suanli")
    git(repository, "checkout", "--quiet", "-b", "team")
    added(repository, "team")
    git(repository, "checkout", "--quiet", "main")
    added(repository, "newer")
    for name in EDITED:
        path = repository / name
        mark = "<!-- newer -->" if path.suffix == ".md" else "# newer"
        path.write_text(path.read_text() + f"\n{mark}\n")
    git(repository, "commit", "--quiet", "--all", "--message", "Edits")
    git(repository, "checkout", "--quiet", "team")
    assert "CONFLICT" not in git(repository, "merge", "--no-edit", "main")
    return repository


def test_nothing_is_left_to_resolve(merged: Path) -> None:
    assert git(merged, "status", "--porcelain") == ""
    assert all("newer" in (merged / name).read_text() for name in EDITED)


@pytest.mark.parametrize("room", ["data", "models", "tasks", "experiments"])
def test_the_choices_of_both_sides_are_listed(merged: Path, room: str) -> None:
    listed = suanli(merged, room).stdout
    noun = room.removesuffix("s")
    assert f"team_{noun}" in listed and f"newer_{noun}" in listed


def test_the_layers_of_both_sides_are_registered_and_retrain_no_model_that_does_not_name_them(merged: Path) -> None:
    script = """
import keras
from components.core import sources
from components.layers import saved_model
saved_model.register()
for name, file in (("TeamDoubled", "team.py"), ("NewerDoubled", "newer.py")):
    assert keras.saving.get_registered_object(f"suanli>{name}")
    # Neither's retrains the other's models.
    assert f"components/layers/{file}" not in sources.digests("train")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=merged, env=environment(merged), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
