"""``suanli experiments | data | models | tasks``: what there is to choose from."""

from collections.abc import Callable
from types import ModuleType
from typing import Annotated

import typer

from components.core import choices
from components.core.choices import Room
from pipelines import experiment
from pipelines.cli import output

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def experiments(as_json: AsJson = False) -> None:
    """List the experiments, one a file in pipelines/experiments."""
    _print(
        [{"name": name, "description": experiment.load(name).text.partition("\n")[0]} for name in experiment.names()],
        as_json,
    )


def data(as_json: AsJson = False) -> None:
    """List the data sources, one a file in components/data."""
    _room("data", as_json)


def models(as_json: AsJson = False) -> None:
    """List the model architectures, one a file in components/models, with what goes in and comes out."""
    _room("models", as_json, lambda module: module.Settings.interface)


def tasks(as_json: AsJson = False) -> None:
    """List the tasks, one a file in components/tasks; models of the same interface fit."""
    _room("tasks", as_json, lambda module: module.INTERFACE)


def _room(room: Room, as_json: bool, interface: Callable[[ModuleType], str] | None = None) -> None:
    modules = {name: choices.load(room, name) for name in choices.names(room)}
    told = {name: {"interface": interface(module)} if interface else {} for name, module in modules.items()}
    _print([{"name": name, **told[name], "description": choices.title(modules[name])} for name in modules], as_json)


def _print(choices: list[dict[str, str]], as_json: bool) -> None:
    if as_json:
        output.as_document(choices)
    else:
        output.columns([tuple(choice.values()) for choice in choices])
