"""The source files that decide a step's result, and a digest of them: a part of its cache key and of its image's tag.

A step's files are its own folder's, those that its row in ``components.steps`` names, and what these import. Of the
rooms that a team fills with files, only the experiment's own choice counts: an edit of another task, model or data
source, and a new file beside them, change nothing here. The files of the team's own project are named
``suanli_project/...`` and count in the same way.

Files that are found by looking into a folder count only where a module names them. ``components.layers.saved_model``
imports every file of layers, so that Keras knows them when it loads a model; the ones that decide a result are those
that the model's own file imports. A champion of another architecture is loaded by other layers than those in
evaluate's key, which is why evaluate and export are decided anew by every run.
"""

import ast
import hashlib
import importlib.util
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from components.core import choices, project
from components.core.choices import Room
from components.steps import STEPS

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "components"
LOCKS = {image: f"requirements/{image}.txt" for image in ("cpu", "gpu", "tpu")}
# It is in no closure: another step's row decides nothing, and a new one must change no key and no tag. A step's own row
# counts by the files that it leads to, and by the names of its logic and state.
TABLE = Path(PACKAGE, "steps.py")
# Room -> the one file that is used there.
Chosen = Mapping[Room, str]
# Where an experiment's sections name it.
SECTIONS: dict[str, dict[Room, str]] = {"data": {"data": "name", "tasks": "task"}, "model": {"models": "name"}}


def _file(module: str) -> Path | None:
    """The file of a module of ours or of the project's, or None for a name that is not one."""
    top, *inner = module.split(".")
    base = project.own() if top == project.PACKAGE and inner else ROOT / top
    if not base:
        return None
    base = base.joinpath(*inner)
    for path in (base / "__init__.py", base.with_suffix(".py")):
        if path.is_file() and path != ROOT / TABLE:
            return path
    return None


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node of a file but those for type checkers alone, which never run."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        yield node
        yield from _statements(node)


@cache
def _imports(path: Path) -> frozenset[str]:
    """Every module that a file names in an import, at the top or inside a function; a relative one with its dots."""
    imported: set[str] = set()
    with project.errors_in(path):
        tree = ast.parse(path.read_bytes(), str(path))
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            imported.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            imported.add(module)
            imported.update(f"{module}{'.' if node.module else ''}{alias.name}" for alias in node.names)
    return frozenset(imported)


def _absolute(imported: Iterable[str], module: str, path: Path) -> Iterator[str]:
    """Of the imports of a module's file those of our modules and the project's, by their whole names."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for name in imported:
        if name.startswith("."):
            with suppress(ImportError):  # above the project: Python refuses it, too
                yield importlib.util.resolve_name(name, package)
        elif name.startswith((f"{PACKAGE}.", f"{project.PACKAGE}.")):
            yield name


def _with_parents(module: str) -> list[str]:
    """The module with the packages around it."""
    parts = module.split(".")
    return [".".join(parts[: end + 1]) for end in range(len(parts))]


def closure(*modules: str) -> list[Path]:
    """The source files that importing the modules may bring in, with the templates beside them, sorted."""
    waiting, seen, looked_up = list(modules), set[Path](), set[str]()
    while waiting:
        for name in _with_parents(waiting.pop()):
            if name in looked_up:
                continue
            looked_up.add(name)
            if (path := _file(name)) and path not in seen:
                seen.add(path)
                waiting += _absolute(_imports(path), name, path)
    templates = {file for path in seen for file in (path.parent / "templates").glob("*") if file.is_file()}
    return sorted(seen | templates)


def chosen_in(sections: Mapping[str, Any]) -> dict[Room, str]:
    """What an experiment's sections choose; a step is given some of them."""
    choices_made: dict[Room, str] = {}
    for section, fields in SECTIONS.items():
        values = sections.get(section, {})
        choices_made |= {room: values[field] for room, field in fields.items() if field in values}
    return choices_made


def modules_of(step: str, chosen: Chosen | None = None) -> list[str]:
    """The modules that a step starts from: its folder's, its logic's, and its chosen files in the rooms of its row.

    Args:
        step: the step's name.
        chosen: room -> the one file that is used there; a room that is not in it counts whole.
    """
    row, chosen = STEPS[step], chosen or {}
    modules = [f"{PACKAGE}.{step}.{path.stem}" for path in sorted((ROOT / PACKAGE / step).glob("*.py"))]
    modules += [path.partition(":")[0] for path in (row.logic, row.state) if path]
    for room in row.rooms:
        modules += [choices.module_name(room, name) for name in _names(room, chosen)]
    modules += [f"{PACKAGE}.tasks.contract"] if row.roles else []
    for task in _names("tasks", chosen) if row.roles else ():
        module = choices.module_name("tasks", task)
        modules += [module, *(f"{module}.{role}" for role in row.roles)]
    return [name.removesuffix(".__init__") for name in modules]


def _names(room: Room, chosen: Chosen) -> list[str]:
    """The chosen file of a room, or all of them."""
    if room in chosen:
        return [chosen[room]]
    ours = {path.stem for path in (ROOT / PACKAGE / room).iterdir() if not path.name.startswith(("_", "."))}
    return sorted(ours.union(project.names(room)))


def project_files() -> dict[str, Path]:
    """The files that the project's data sources, models, tasks and layers may bring in, by their paths in it."""
    modules = [f"{project.PACKAGE}.{room}.{path.stem}" for room in project.ROOMS for path in project.files(room)]
    modules += [
        f"{project.PACKAGE}.tasks.{path.parent.name}.{path.stem}"
        for task in project.files("tasks")
        for path in task.glob("*.py")
    ]
    inside = labels(closure(*modules)).items()
    return {name.partition("/")[2]: path for name, path in inside if name.startswith(f"{project.PACKAGE}/")}


def labels(paths: Iterable[Path]) -> dict[str, Path]:
    """Files by their paths in the checkout, or below ``suanli_project/`` in the project: the same on every machine."""
    roots, own = {ROOT: ""}, project.own()
    if own:
        roots[own] = f"{project.PACKAGE}/"
    labelled = {}
    for path in paths:
        # One may lie inside the other.
        base = max((each for each in roots if path.is_relative_to(each)), key=lambda each: len(each.parts))
        labelled[f"{roots[base]}{path.relative_to(base)}"] = path
    return labelled


def lock_file(image: str = "") -> Path | None:
    """The lock file of an image; by default that of the environment, which an image has alone, a checkout beside the
    others (the CPU's), and an installed package not at all."""
    paths = (ROOT / LOCKS[name] for name in ([image] if image else LOCKS))
    return next((path for path in paths if path.is_file()), None)


def digests(step: str, chosen: Chosen | None = None, image: str = "", *, locked: bool = True) -> dict[str, str]:
    """Path (``labels``) -> digest of every file that decides a step's result, its image's lock file included unless
    ``locked`` is false."""
    files = closure(*modules_of(step, chosen))
    if locked and (lock := lock_file(image)):
        files.append(lock)
    row = f"{STEPS[step].logic} {STEPS[step].state}"
    decisive = {name: _digest(path.read_bytes()) for name, path in labels(files).items()}
    return decisive | {f"{TABLE} {step}": _digest(row.encode())}


def versions(step: str, chosen: Chosen | None = None) -> dict[str, str]:
    """Library -> its installed version: of the locked ones, and of an extra that the step's files import.

    Without a lock file, as in an installed package, every installed library counts.
    """
    lock = lock_file()
    locked = re.findall(r"^([A-Za-z0-9._-]+)==", lock.read_text(), re.MULTILINE) if lock else _installed()
    files = [path for path in closure(*modules_of(step, chosen)) if path.suffix == ".py"]
    imported = {module.partition(".")[0].replace("_", "-") for path in files for module in _imports(path)}
    installed_versions = {}
    for name in sorted({*locked, *imported} - sys.stdlib_module_names - {PACKAGE, ""}):
        with suppress(metadata.PackageNotFoundError):
            installed_versions[name] = metadata.version(name)
    return installed_versions


def _installed() -> list[str]:
    return [distribution.name for distribution in metadata.distributions() if distribution.name]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def digest(files: Mapping[str, str]) -> str:
    """One digest (12 hexadecimal digits) over the digests of files."""
    return _digest("\n".join(f"{name} {value}" for name, value in sorted(files.items())).encode())[:12]
