"""``suanli experiments | data | models | tasks``: what there is to choose from."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from components.core.rooms import Room

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def experiments(as_json: AsJson = False) -> None:
    """List the experiments, one a file in pipelines/experiments."""
    from pipelines import experiment

    _print({name: experiment.load(name).text.partition("\n")[0] for name in experiment.names()}, as_json)


def data(as_json: AsJson = False) -> None:
    """List the data sources, one a file in components/data."""
    _room("data", as_json)


def models(as_json: AsJson = False) -> None:
    """List the model architectures, one a file in components/models."""
    _room("models", as_json)


def tasks(as_json: AsJson = False) -> None:
    """List the tasks, one a file in components/tasks."""
    _room("tasks", as_json)


def _room(room: "Room", as_json: bool) -> None:
    from components.core import rooms

    _print({name: rooms.title(rooms.load(room, name)) for name in rooms.names(room)}, as_json)


def _print(choices: dict[str, str], as_json: bool) -> None:
    from pipelines.cli import output

    if as_json:
        output.as_document([{"name": name, "description": text} for name, text in choices.items()])
    else:
        output.columns(choices.items())
