"""The rooms that a team extends: each file of data and models, and each folder of tasks, is one choice.

They are ours, below ``components``, and those of the team's own project (``components.core.project``).
"""

import difflib
import importlib
import importlib.util
import pkgutil
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, NoReturn

from components.core import project
from components.core.errors import StepError

Room = Literal["data", "models", "tasks"]
VALID = "use a-z, 0-9 and _, at most 40 characters, a letter first, and no word of Python or device of Windows"
NOUNS: dict[Room, str] = {"data": "data source", "models": "model", "tasks": "task"}


def nearest(word: str, valid: Iterable[str]) -> str:
    """Advice after a misspelt word: the nearest valid one, and all of them."""
    options = sorted(valid)
    close = difflib.get_close_matches(word, options, n=1, cutoff=0.5)
    return f"did you mean {close[0]}? (known: {', '.join(options)})" if close else f"choose from {', '.join(options)}"


def names(room: Room) -> list[str]:
    """The choices in a room, sorted: its files, or folders for tasks; a leading underscore means shared code."""
    return sorted({*_ours(room), *project.names(room)})


def _ours(room: Room) -> list[str]:
    package = importlib.import_module(f"components.{room}")
    return [
        module.name
        for module in pkgutil.iter_modules(package.__path__)
        if not module.name.startswith("_") and (room != "tasks" or module.ispkg)
    ]


def module_name(room: Room, name: str) -> str:
    """The module behind a choice, as Python knows it: the project's, or else ours."""
    return f"{project.PACKAGE if project.file(room, name) else 'components'}.{room}.{name}"


def load(room: Room, name: str) -> ModuleType:
    """The module behind a choice.

    Raises:
        StepError: there is no such choice, and the advice has the nearest name; the project and we both have it; or the
            project's file does not load.
    """
    file = project.file(room, name)
    if name not in names(room):
        if unfit := project.unfit(room, name):
            raise StepError(f"{unfit}: {name!r} is not a {NOUNS[room]}'s name", advice=VALID, kind="settings")
        raise StepError(f"unknown {NOUNS[room]} {name!r}", advice=nearest(name, names(room)), kind="settings")
    if not file:
        return importlib.import_module(module_name(room, name))
    if name in _ours(room):
        refuse_double(NOUNS[room], name, file)
    project.package()
    with project.errors_in(file):
        module = importlib.import_module(module_name(room, name))
        if room != "tasks" and not hasattr(module, "Settings"):
            raise StepError("it has no class Settings", advice=f"suanli new writes a {NOUNS[room]}", kind="settings")
    return module


def refuse_double(noun: str, name: str, file: Path) -> NoReturn:
    """Refuse a name that the project and we both have.

    Raises:
        StepError: always.
    """
    raise StepError(f"the {noun} {name!r} is one of Suanli's and {file}", advice="rename yours", kind="settings")


def role(task: str, name: str) -> Any:
    """The class of one of a task's roles, such as ``training``: the one in its file, or the contract's default.

    Raises:
        StepError: there is no such task, or it lacks a role that has no default.
    """
    package = load("tasks", task).__name__
    module = f"{package}.{name}" if importlib.util.find_spec(f"{package}.{name}") else "components.tasks.contract"
    with project.errors_in(file) if (file := project.file("tasks", task)) else nullcontext():
        cls = getattr(importlib.import_module(module), name.capitalize(), None)
    if cls is None:
        raise StepError(
            f"the task {task} has no class {name.capitalize()}",
            advice=f"write it in {file or f'components/tasks/{task}'}/{name}.py",
            kind="settings",
        )
    return cls


def title(module: ModuleType) -> str:
    """A choice's one-line description: the first line of its file's docstring."""
    return (module.__doc__ or "").strip().partition("\n")[0]
