"""Which source files a module imports, and a digest over them: what an image tag and a cache key stand on."""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "components"
LOCKS = {image: f"requirements/{image}.txt" for image in ("cpu", "gpu", "tpu")}

# Files of these rooms are loaded by name at run time, so a step's image stands on all of them.
ROOMS: dict[str, tuple[str, ...]] = {
    "prepare": ("data", "tasks"),
    "train": ("models", "tasks"),
    "evaluate": ("models", "tasks"),
    "export": ("models", "tasks"),
}
# A package that imports whatever lies in its folder: no import names those files.
FOLDERS = ("components.layers",)


def _file(module: str) -> Path | None:
    """The file of one of our modules, or None for a name that is no module."""
    base = ROOT.joinpath(*module.split("."))
    for path in (base / "__init__.py", base.with_suffix(".py")):
        if path.is_file():
            return path
    return None


@cache
def _imports(path: Path) -> frozenset[str]:
    """Every module of ours that a file names in an import, at the top or inside a function."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(name for name in found if name.partition(".")[0] == PACKAGE)


def _with_parents(module: str) -> Iterator[str]:
    """The module with the packages that it lies in, and all that those import by looking into their folder."""
    parts = module.split(".")
    for end in range(len(parts)):
        name = ".".join(parts[: end + 1])
        yield name
        if name in FOLDERS:
            yield from (f"{name}.{path.stem}" for path in sorted(ROOT.joinpath(*name.split(".")).glob("*.py")))


def closure(*modules: str) -> list[Path]:
    """The source files that importing the modules may bring in, with the templates beside them, sorted."""
    waiting, seen = [name for module in modules for name in _with_parents(module)], set[Path]()
    while waiting:
        path = _file(waiting.pop())
        if path is None or path in seen:
            continue
        seen.add(path)
        waiting += [name for module in _imports(path) for name in _with_parents(module)]
    templates = {file for path in seen for file in (path.parent / "templates").glob("*") if file.is_file()}
    return sorted(seen | templates)


def modules_of(step: str, chosen: dict[str, str] | None = None) -> list[str]:
    """The modules that a step starts from.

    Args:
        step: the step's name, which is its folder's.
        chosen: room -> name of the one file used there; without it the whole room counts.
    """
    packages = [f"{PACKAGE}.{step}.{path.stem}" for path in sorted((ROOT / PACKAGE / step).glob("*.py"))]
    for room in ROOMS.get(step, ()):
        if chosen and room in chosen:
            packages.append(f"{PACKAGE}.{room}.{chosen[room]}")
        else:
            packages += [f"{PACKAGE}.{room}.{path.stem}" for path in sorted((ROOT / PACKAGE / room).glob("*.py"))]
    return [name.removesuffix(".__init__") for name in packages]


def digests(step: str, chosen: dict[str, str] | None = None, image: str = "cpu") -> dict[str, str]:
    """Path in the checkout -> digest of every file that a step's result stands on, its image's lock file included."""
    files = closure(*modules_of(step, chosen))
    lock = ROOT / LOCKS[image]
    if lock.is_file():  # an installed package has none
        files.append(lock)
    return {str(path.relative_to(ROOT)): hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in files}


def digest(files: dict[str, str]) -> str:
    """One digest (12 hexadecimal digits) over the digests of files."""
    return hashlib.sha256("\n".join(f"{name} {value}" for name, value in sorted(files.items())).encode()).hexdigest()[
        :12
    ]
