"""``suanli experiments | data | models | tasks``: the choices of an experiment."""

from collections.abc import Callable
from types import ModuleType
from typing import Annotated

import typer

from components.core import choices
from components.core.choices import Room
from pipelines import experiment
from pipelines.cli import settings
from pipelines.cli.options import AsJson
from pipelines.cli.output import print_json, print_table
from pipelines.experiment import NamedExperiment

Which = Annotated[str, typer.Argument(metavar="[NAME]", help="Only this one, and all about it.")]


def experiments(which: Which = "", as_json: AsJson = False) -> None:
    """List the experiments, Suanli's and the project's own; of one, what it is and what it sets."""
    if which:
        _experiment(experiment.load(which), as_json)
        return
    _print(
        [{"name": name, "description": experiment.title(name)} for name in experiment.names()],
        as_json,
    )


def data(which: Which = "", as_json: AsJson = False) -> None:
    """List the data sources, one per file in components/data; of one, its settings."""
    _room("data", which, as_json)


def models(which: Which = "", as_json: AsJson = False) -> None:
    """List the models, one per file in components/models, with inputs and outputs; of one, its settings."""
    _room("models", which, as_json, lambda module: module.Settings.interface)


def tasks(which: Which = "", as_json: AsJson = False) -> None:
    """List the tasks in components/tasks; of one, its settings. A model fits a task with the same interface."""
    _room("tasks", which, as_json, lambda module: module.INTERFACE)


def _room(room: Room, which: str, as_json: bool, interface: Callable[[ModuleType], str] | None = None) -> None:
    if which:
        module = choices.load(room, which)
        section = next(section for section, own in settings.ROOMS.items() if own == room)
        matches = settings.matching(f"{section}.{which}")
        if as_json:
            print_json([vars(setting) for setting in matches])
            return
        text = (module.__doc__ or "").strip()
        print(f"{which}{f': {interface(module)}' if interface else ''}\n\n{text}")
        settings.show(matches)
        return
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


def _experiment(named: NamedExperiment, as_json: bool) -> None:
    """An experiment's docstring and the settings that are not the defaults."""
    values = named.experiment.sections()
    if as_json:
        print_json({"name": named.name, "description": named.text, **values})
        return
    print(f"{named.name}\n\n{named.text}\n")
    for section, settings_of in values.items():
        for key, value in settings_of.items():
            if key == "name" or _set(named, section, key):
                print(f"{section}.{key}={settings.typed(value)}")


def _set(named: NamedExperiment, section: str, key: str) -> bool:
    """Whether an experiment gives a setting another value than its default."""
    of_section = getattr(named.experiment, section)
    field = type(of_section).model_fields[key]
    return bool(field.is_required() or getattr(of_section, key) != field.get_default(call_default_factory=True))


def _print(rows: list[dict[str, str]], as_json: bool) -> None:
    if as_json:
        print_json(rows)
    else:
        print_table([tuple(row.values()) for row in rows])
