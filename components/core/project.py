"""The team's own project: a folder with ``suanli.toml``, found from any folder below it, as git finds a repository.

Its data sources, models, tasks, layers and experiments lie beside ours and are found by name. Python knows them as
``suanli_project.models.NAME`` and so on, whatever the folder is called and wherever it lies: cache keys, image tags and
saved models name them alike on every machine, and a folder of theirs called ``components`` or ``pipelines`` is never
taken for ours. A checkout of Suanli is a project, too, whose files lie in our own folders.
"""

import importlib
import importlib.machinery
import importlib.util
import keyword
import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.core.errors import StepError

MARKER = "suanli.toml"
# Names the project to the processes of a run, whatever folder they work in.
VARIABLE = "SUANLI_PROJECT"
PACKAGE = "suanli_project"
# Where an image has the project's files (pipelines/images/build.py).
IN_IMAGE = Path(__file__).resolve().parents[1] / "_project"
CHECKOUT = Path(__file__).resolve().parents[2]
# What an image takes of a project. Experiments are read where a pipeline is compiled.
ROOMS = ("data", "models", "tasks", "layers")
# It becomes part of a registry folder, an image tag and a Kubernetes name.
NAME = re.compile(r"^[a-z][a-z0-9_]{0,39}$")
# Windows takes no file of this name, whatever its ending (learn.microsoft.com, naming files).
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{digit}" for port in ("com", "lpt") for digit in range(1, 10))}


def root() -> Path | None:
    """The project's folder: the image's own, the one that ``SUANLI_PROJECT`` names, or the nearest around the current
    folder; None outside a project.

    Raises:
        StepError: the variable names no project, or the nearest is another user's, whose code would run: it may lie in
            a folder that everybody can write, such as /tmp, as in git's CVE-2022-24765.
    """
    if IN_IMAGE.is_dir():
        return IN_IMAGE
    if named := os.environ.get(VARIABLE):
        if not Path(named, MARKER).is_file():
            raise StepError(
                f"{VARIABLE}={named} is not a project: it has no {MARKER}",
                advice=f"unset it, or run: suanli init {named}",
                kind="settings",
            )
        return Path(named).resolve()
    try:
        project = nearest(Path.cwd())
    except FileNotFoundError:
        return None  # the current folder was removed
    if project and project != CHECKOUT and (project / MARKER).stat().st_uid not in {os.getuid(), 0}:
        raise StepError(
            f"the project {project} is another user's, whose code would run",
            advice=f"set {VARIABLE}={project} if you trust it",
            kind="settings",
        )
    return project


def nearest(folder: Path) -> Path | None:
    """The project that a folder belongs to: itself, or the nearest above it."""
    return next((each for each in (folder, *folder.parents) if (each / MARKER).is_file()), None)


def folder() -> Path:
    """Where runs, targets, schedules and accelerators are by default: the project, or else the current folder."""
    return root() or Path.cwd()


def path(name: str) -> Path:
    """A file or folder that a setting names, from the current folder or, if it is not there, from the project."""
    given = Path(name).expanduser()
    return given if given.is_absolute() or given.exists() else folder() / given


def own() -> Path | None:
    """The project's folder if it has files of its own; None in a checkout of Suanli and outside a project."""
    project = root()
    return None if project is None or (project / "components/core/project.py").is_file() else project


def environment() -> dict[str, str]:
    """What tells a child process the project."""
    project = root()
    return {VARIABLE: str(project)} if project else {}


def is_name(name: str) -> bool:
    """Whether a file, and so what it defines, can have this name on every system."""
    return bool(NAME.match(name)) and not keyword.iskeyword(name) and name not in RESERVED


def names(room: str) -> list[str]:
    """The names in one of the project's folders, sorted; a leading underscore means shared code."""
    return sorted(path.stem for path in files(room) if is_name(path.stem))


def files(room: str) -> list[Path]:
    """The modules in one of the project's folders, whatever their names: a folder for a package, and for every task."""
    project = own()
    if not project or not (project / room).is_dir():
        return []
    paths = sorted((project / room).iterdir())
    return [path for path in paths if (path.suffix == ".py" and room != "tasks") or (path / "__init__.py").is_file()]


def file(room: str, name: str) -> Path | None:
    """The file or folder behind a name; None if the project does not have it."""
    return next((path for path in files(room) if path.stem == name and is_name(name)), None)


def unfit(room: str, name: str) -> Path | None:
    """A file whose name keeps it from being found, or None."""
    return next((path for path in files(room) if path.stem == name and not is_name(name)), None)


def package() -> str:
    """The package of the project's files, which can be imported from now on; empty without a project."""
    project = own()
    return bind(PACKAGE, project) if project else ""


def bind(name: str, folder: Path) -> str:
    """Make a folder the package of this name, without its ``__init__.py``. If another one was, its modules are
    forgotten."""
    present = sys.modules.get(name)
    if present is None or list(present.__path__) != [str(folder)]:
        for module in [each for each in sys.modules if each == name or each.startswith(f"{name}.")]:
            del sys.modules[module]
        spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(folder)]
        sys.modules[name] = importlib.util.module_from_spec(spec)
    # A file may be newer than what Python has noticed of its folder.
    importlib.invalidate_caches()
    return name


@contextmanager
def errors_in(file: Path | str) -> Iterator[None]:
    """Whatever a file of the team's raises when it is imported, in one line with the file and line at fault."""
    try:
        yield
    except (Exception, SystemExit) as error:
        raise refusal(file, error) from None


def refusal(file: Path | str, error: BaseException) -> StepError:
    """What ``errors_in`` raises for an error."""
    culprit, number = _origin(Path(file), error)
    line = f" (line {number})" if number else ""
    if isinstance(error, StepError):
        return StepError(f"{culprit}{line}: {error.message}", advice=error.advice, kind=error.kind)
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    message = f"{culprit} does not load: {type(error).__name__}: {text}{line}"
    return StepError(message, advice=_advice(Path(culprit), error), kind="settings")


def _origin(file: Path, error: BaseException) -> tuple[str, int | None]:
    """The file at fault, this one or one of the project's that it imports, and the line."""
    # Bytes that are no source have no file: Python names its own importer.
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).is_file():
        same = Path(error.filename).resolve() == file.resolve()
        return str(file if same else error.filename), error.lineno
    project = own()
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename).resolve()
        if path == file.resolve():
            return str(file), frame.lineno
        # An error of ours names the setting, and belongs to the line that gave it.
        if project and path.is_file() and path.is_relative_to(project) and not isinstance(error, StepError):
            return frame.filename, frame.lineno
    return str(file), None


def _advice(file: Path, error: BaseException) -> str:
    """How to import a neighbour, for a file that imports it as a script would."""
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return ""
    name, project = error.name.partition(".")[0], own()
    if (file.parent / f"{name}.py").is_file():
        return f"a file beside it is imported by: from .{name} import ..."
    if project and file.resolve().parent.parent == project and (project / name).is_dir():
        return f"a folder of the project is imported by: from ..{error.name} import ..."
    return ""
