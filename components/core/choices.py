"""The rooms that a team extends: each file of data and models, and each folder of tasks, is one choice."""

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


def nearest(word: str, valid: Iterable[str]) -> str:
    """Advice after a misspelt word: the nearest valid one, and all of them."""
    options = sorted(valid)
    close = difflib.get_close_matches(word, options, n=1, cutoff=0.5)
    return f"did you mean {close[0]}? (known: {', '.join(options)})" if close else f"choose from {', '.join(options)}"


def names(room: Room) -> list[str]:
    """The choices in a room, sorted: its files, or folders for tasks; a leading underscore means shared code."""
    package = importlib.import_module(f"components.{room}")
    return sorted(
        module.name
        for module in pkgutil.iter_modules(package.__path__)
        if not module.name.startswith("_") and (room != "tasks" or module.ispkg)
    )


def load(room: Room, name: str) -> ModuleType:
    """The module behind a choice.

    Raises:
        StepError: there is no such choice; the advice has the nearest name.
    """
    if name not in names(room):
        raise StepError(f"unknown {NOUNS[room]} {name!r}", advice=nearest(name, names(room)), kind="settings")
    return importlib.import_module(f"components.{room}.{name}")


def role(task: str, name: str) -> Any:
    """The class of one of a task's roles, such as ``training``: the one in its file, or the contract's default.

    Raises:
        StepError: there is no such task, or it lacks a role that has no default.
    """
    load("tasks", task)
    module = f"components.tasks.{task}.{name}"
    if importlib.util.find_spec(module) is None:
        module = "components.tasks.contract"
    cls = getattr(importlib.import_module(module), name.capitalize(), None)
    if cls is None:
        raise StepError(
            f"the task {task} has no class {name.capitalize()}",
            advice=f"write it in components/tasks/{task}/{name}.py",
            kind="settings",
        )
    return cls


def title(module: ModuleType) -> str:
    """A choice's one-line description: the first line of its file's docstring."""
    return (module.__doc__ or "").strip().partition("\n")[0]
