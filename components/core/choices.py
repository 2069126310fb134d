"""The rooms that a team adds to: data, models and tasks; each file, or folder of tasks, is one choice."""

import difflib
import importlib
import importlib.util
import pkgutil
from collections.abc import Iterable
from types import ModuleType
from typing import Any, Literal

from components.core.errors import StepError

Room = Literal["data", "models", "tasks"]
NOUNS: dict[str, str] = {"data": "data source", "models": "model", "tasks": "task"}


def nearest(word: str, known: Iterable[str]) -> str:
    """The sentence part that helps after a misspelt word: the nearest known one, or all of them."""
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]}? (known: {', '.join(known)})" if close else f"choose from {', '.join(known)}"


def names(room: Room) -> list[str]:
    """The choices in a room, sorted: its files, or of tasks its folders; a leading underscore means shared code."""
    package = importlib.import_module(f"components.{room}")
    return sorted(
        module.name
        for module in pkgutil.iter_modules(package.__path__)
        if not module.name.startswith("_") and (room != "tasks" or module.ispkg)
    )


def load(room: Room, name: str) -> ModuleType:
    """The module behind a choice.

    Raises:
        StepError: no such file in the room; the nearest name is offered.
    """
    if name not in names(room):
        raise StepError(f"unknown {NOUNS[room]} {name!r}", advice=nearest(name, names(room)), kind="settings")
    return importlib.import_module(f"components.{room}.{name}")


def role(task: str, name: str) -> Any:
    """The class of one of a task's roles, such as ``training``: the one in its file, or the contract's default.

    Raises:
        StepError: there is no such task.
    """
    load("tasks", task)
    module = f"components.tasks.{task}.{name}"
    if importlib.util.find_spec(module) is None:
        module = "components.tasks.contract"
    return getattr(importlib.import_module(module), name.capitalize())


def title(module: ModuleType) -> str:
    """A choice's one-line description: the first line of its file's docstring."""
    return (module.__doc__ or "").strip().partition("\n")[0]
