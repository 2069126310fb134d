"""``suanli experiments | data | models | tasks``: the choices of an experiment."""

from collections.abc import Callable
from types import ModuleType

from components.core import choices
from components.core.choices import Room
from pipelines import experiment
from pipelines.cli.options import AsJson
from pipelines.cli.output import print_json, print_table


def experiments(as_json: AsJson = False) -> None:
    """List the experiments: Suanli's, and those in the project's folder experiments."""
    _print(
        [{"name": name, "description": experiment.load(name).text.partition("\n")[0]} for name in experiment.names()],
        as_json,
    )


def data(as_json: AsJson = False) -> None:
    """List the data sources, one per file in components/data."""
    _room("data", as_json)


def models(as_json: AsJson = False) -> None:
    """List the model architectures, one per file in components/models, with their inputs and outputs."""
    _room("models", as_json, lambda module: module.Settings.interface)


def tasks(as_json: AsJson = False) -> None:
    """List the tasks in components/tasks. A model fits a task with the same interface."""
    _room("tasks", as_json, lambda module: module.INTERFACE)


def _room(room: Room, as_json: bool, interface: Callable[[ModuleType], str] | None = None) -> None:
    modules = {name: choices.load(room, name) for name in choices.names(room)}
    _print(
        [
            {
                "name": name,
                **({"interface": interface(module)} if interface else {}),
                "description": choices.title(module),
            }
            for name, module in modules.items()
        ],
        as_json,
    )


def _print(rows: list[dict[str, str]], as_json: bool) -> None:
    if as_json:
        print_json(rows)
    else:
        print_table([tuple(row.values()) for row in rows])
