"""The arrows of the house: who may import whom."""

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from components.core import rooms
from pipelines import experiment

ROOT = Path(__file__).resolve().parents[1]
STEPS = ("prepare", "train", "evaluate", "export")
HEAVY = ("numpy", "tensorflow", "keras", "tensorflow_datasets", "jax", "torch", "sklearn", "matplotlib")
FILES = sorted(
    path.relative_to(ROOT) for package in ("components", "pipelines") for path in (ROOT / package).rglob("*.py")
)


def imported(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def imports_any(path: Path, *packages: str) -> set[str]:
    return {name for name in imported(path) if any(name == top or name.startswith(f"{top}.") for top in packages)}


def within(*folders: str) -> list[Path]:
    return [path for path in FILES if any(path.is_relative_to(folder) for folder in folders)]


@pytest.mark.parametrize("path", within("components"), ids=str)
def test_components_never_import_pipelines(path: Path) -> None:
    assert not imports_any(path, "pipelines")


@pytest.mark.parametrize("path", within("pipelines"), ids=str)
def test_pipelines_never_import_the_heavy_libraries(path: Path) -> None:
    assert not imports_any(path, *HEAVY)


@pytest.mark.parametrize("path", [path for path in within("components") if path.name != "component.py"], ids=str)
def test_only_a_component_file_knows_kfp(path: Path) -> None:
    assert not imports_any(path, "kfp")


@pytest.mark.parametrize("step", STEPS)
def test_a_step_never_imports_another_step(step: str) -> None:
    others = [f"components.{other}" for other in STEPS if other != step]
    assert {path: found for path in within(f"components/{step}") if (found := imports_any(path, *others))} == {}


@pytest.mark.parametrize("path", within("components/core"), ids=str)
def test_the_core_imports_no_step_and_no_room(path: Path) -> None:
    assert not imports_any(path, *(f"components.{name}" for name in (*STEPS, "data", "models", "tasks")))


@pytest.mark.parametrize("path", within("components/data", "components/models", "components/tasks"), ids=str)
def test_a_room_imports_only_itself_and_the_core(path: Path) -> None:
    room = f"components.{path.parts[1]}"
    ours = imports_any(path, "components")
    assert {name for name in ours if not name.startswith((room, "components.core"))} == set()


def named_in(path: Path, names: set[str]) -> set[str]:
    """Which names stand in a file, in its code, its texts or its comments."""
    return names & set(re.findall(r"\w+", (ROOT / path).read_text()))


NEUTRAL = [path for path in within("pipelines") if not path.is_relative_to("pipelines/experiments")] + within(
    "components/profile", *(f"components/{step}" for step in STEPS)
)
CHOICES = {name for room in get_args(rooms.Room) for name in rooms.names(room)} | set(experiment.names())


@pytest.mark.parametrize("path", NEUTRAL, ids=str)
def test_neither_a_pipeline_nor_a_step_names_a_choice(path: Path) -> None:
    """A new file in a room makes this stricter by itself; name it by words that mean nothing else."""
    assert named_in(path, CHOICES) == set()


def test_the_names_of_all_rooms_are_looked_for() -> None:
    assert {"image_classification", "fashion_mnist", "cnn", "imagenet"} <= CHOICES
    assert named_in(Path("components/data/fashion_mnist.py"), CHOICES) >= {"fashion_mnist", "tfds"}
    assert Path("pipelines/cli/predict.py") in NEUTRAL and Path("components/evaluate/gate.py") in NEUTRAL


def test_rooms_and_experiments_load_without_the_heavy_libraries() -> None:
    script = f"""
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HEAVY!r}:
            raise ImportError(f"{{name}} is blocked in this test")
sys.meta_path.insert(0, Blocked())
from components.core import rooms
from pipelines import experiment
for room in ("data", "models", "tasks"):
    for name in rooms.names(room):
        module = rooms.load(room, name)
        assert rooms.title(module), name
        assert module.Settings
for name in experiment.names():
    named = experiment.load(name)
    assert named.text and named.with_settings(["training.epochs=3"]).experiment.training.epochs == 3
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
