"""The arrows of the house: who may import whom."""

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

from components.core import choices
from components.steps import STEPS
from pipelines import experiment

ROOT = Path(__file__).resolve().parents[1]
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


# Room -> the rooms of components that its files may import, beside itself. storage stands below what is in the core of
# prepared examples and kept results, and above the rest of it: it imports only modules that do not import it.
FOUNDATIONS = ("core", "storage")
FIELDS = (*FOUNDATIONS, "text", "vision")
SHARED = (*FIELDS, "layers", "metrics")
ARROWS = {
    # The table of the steps is a file beside the rooms, and imports none.
    "core": (*FOUNDATIONS, "steps"),
    "storage": FOUNDATIONS,
    "registry": FOUNDATIONS,
    "text": FOUNDATIONS,
    "vision": FOUNDATIONS,
    "layers": FIELDS,
    "metrics": FIELDS,
    "models": SHARED,
    "data": SHARED,
    "tasks": SHARED,
    "profile": (*SHARED, "models"),
    **dict.fromkeys(STEPS, (*SHARED, "registry", "data", "models", "tasks")),
}


def faults(paths: list[Path], wrong: Callable[[Path], set[str]]) -> dict[str, list[str]]:
    """File -> what is wrong with it, of those where something is."""
    return {str(path): sorted(found) for path in paths if (found := wrong(path))}


def test_components_never_import_pipelines() -> None:
    assert faults(within("components"), lambda path: imports_any(path, "pipelines")) == {}


def test_the_cluster_never_imports_the_local_runner() -> None:
    assert faults(within("pipelines/cluster"), lambda path: imports_any(path, "pipelines.local")) == {}


def test_every_exception_is_in_the_tree_of_errors() -> None:
    """Except private ones, which are caught in their own module."""
    tree = ast.get_docstring(ast.parse((ROOT / "components/core/errors.py").read_text())) or ""
    classes = {
        node.name: path
        for path in FILES
        for node in ast.walk(ast.parse((ROOT / path).read_text()))
        if isinstance(node, ast.ClassDef)
        and any(re.search(r"(Error|Exception|Damaged)$", ast.unparse(base)) for base in node.bases)
    }
    assert {name: str(path) for name, path in classes.items() if name not in tree and not name.startswith("_")} == {}
    assert {"StepError", "Damaged", "GivenUpError"} <= classes.keys()


def test_pipelines_never_import_the_heavy_libraries() -> None:
    assert faults(within("pipelines"), lambda path: imports_any(path, *HEAVY)) == {}


def test_only_a_component_file_knows_kfp() -> None:
    others = [path for path in within("components") if path.name != "component.py"]
    assert faults(others, lambda path: imports_any(path, "kfp")) == {}


def test_each_room_imports_only_the_rooms_below_it() -> None:
    def wrong(path: Path) -> set[str]:
        allowed = {path.parts[1], *ARROWS[path.parts[1]]}
        ours = {name for name in imports_any(path, "components") if name.count(".")}
        return {name for name in ours if name.split(".")[1] not in allowed}

    rooms = [path for path in within("components") if len(path.parts) > 2]
    assert {path.parts[1] for path in rooms} == set(ARROWS)
    assert faults(rooms, wrong) == {}


def test_no_module_imports_itself_in_a_circle() -> None:
    """Imports inside functions count, too; a module that is imported from its own package is not the package."""
    modules = {".".join(path.with_suffix("").parts).removesuffix(".__init__"): path for path in FILES}
    arrows = {
        name: (imported(path) & modules.keys()) - {name, name.rpartition(".")[0]} for name, path in modules.items()
    }
    assert list(circles(arrows)) == []


def circles(arrows: dict[str, set[str]]) -> Iterator[list[str]]:
    """The groups of modules that reach each other (Tarjan, 1972)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []

    def visit(name: str) -> Iterator[list[str]]:
        order[name] = low[name] = len(order)
        stack.append(name)
        for other in sorted(arrows[name]):
            if other not in order:
                yield from visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], order[other])
        if low[name] == order[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                yield sorted(group)

    for name in sorted(arrows):
        if name not in order:
            yield from visit(name)


def named_in(path: Path, names: set[str]) -> set[str]:
    """Which names stand in a file, in its code, its texts or its comments."""
    return names & set(re.findall(r"\w+", (ROOT / path).read_text()))


NEUTRAL = [path for path in within("pipelines") if not path.is_relative_to("pipelines/experiments")] + within(
    "components/profile", *(f"components/{step}" for step in STEPS)
)
CHOICES = {name for room in get_args(choices.Room) for name in choices.names(room)} | set(experiment.names())


def test_neither_a_pipeline_nor_a_step_names_a_choice() -> None:
    """A new file in a room makes this stricter by itself; name it by words that mean nothing else."""
    assert faults(NEUTRAL, lambda path: named_in(path, CHOICES)) == {}


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
from components.core import choices
from components.steps import STEPS
from pipelines import experiment
for room in ("data", "models", "tasks"):
    for name in choices.names(room):
        module = choices.load(room, name)
        assert choices.title(module), name
        assert module.Settings
for name in experiment.names():
    named = experiment.load(name)
    assert named.text and named.with_settings(["training.epochs=3"]).experiment.training.epochs == 3
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
