"""``suanli predict``: predictions of a published model for files or texts, by any of its formats."""

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from components import storage
from components.core.choices import nearest
from components.core.errors import StepError
from components.core.plain import one_line, visible
from components.export import version
from components.export.version import LoadedVersion, Predicted
from components.registry import champion
from components.tasks import EvaluationSettings
from components.tasks.contract import overrides
from pipelines.runs import folder

VERSION, CHAMPION = "version.json", "champion.json"


def predict(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A model's name, a registry, a version's folder or a run's id.")
    ],
    inputs: Annotated[
        list[str] | None, typer.Argument(metavar="INPUT...", help="Files of the model's kind, or folders of them.")
    ] = None,
    text: Annotated[
        list[str] | None, typer.Option("--text", metavar="TEXT", help="An input typed here; repeat it.")
    ] = None,
    format: Annotated[str, typer.Option("--format", help="One of the model's formats.")] = "",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change a setting of the task's own; repeat it."),
    ] = None,
    top: Annotated[int, typer.Option("--top", min=0, help="How many answers; 0 for as many as evaluate counted.")] = 0,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FOLDER", help="Draw each prediction there, a PNG file an input.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each input.")] = False,
    runs: Annotated[Path | None, typer.Option("--runs", help="The folder of runs; also SUANLI_RUNS.")] = None,
) -> None:
    """Predict with a published model: a table on a terminal, lines of JSON for programs."""
    # TensorFlow and its parts greet at length.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

    if not inputs and not text:
        raise StepError("there is nothing to predict", advice="give files, folders or --text", kind="settings")
    predictor = version.opened(version_folder(model, folder.root(runs)), format)
    predictor = _changed(predictor, [*(set_ or []), *([f"top_k={top}"] if top else [])])
    found = _predicted(predictor, inputs or [], text or [])
    if output is not None:
        found = _drawn(predictor, found, output)
    if as_json or not sys.stdout.isatty():
        _lines(found)
    else:
        _table(predictor, list(found))


def version_folder(model: str, runs: Path) -> Path:
    """The local folder of the version that a user means; what is in Cloud Storage is copied here.

    Args:
        model: a folder or ``gs://`` prefix of a version or a registry, a model's name in the local registry, or a
            run's id.
        runs: the folder of runs.

    Raises:
        StepError: nothing of that name has a published model.
    """
    registry = runs / folder.REGISTRY
    for place in (model, str(registry / model)):
        if storage.exists(storage.join(place, VERSION)):
            return _local(place)
        if storage.exists(storage.join(place, CHAMPION)) and (published := champion(place)):
            return published.folder
    known = [path.name for path in registry.glob("*") if (path / CHAMPION).is_file()]
    if storage.is_remote(model) or Path(model).is_dir():
        raise StepError(
            f"{model} holds neither {VERSION} nor {CHAMPION}", advice=nearest(model, known) if known else ""
        )
    ids = [run.id for run in folder.every(runs)]
    if any(one.startswith(model) for one in ids) or (ids and model == folder.LATEST):
        run = folder.find(runs, model)
        if exported := run.output("export", "exported"):
            return exported
        raise StepError(
            f"run {run.id} exported no model", advice=f"suanli runs show {run.id} says why", kind="settings"
        )
    advice = nearest(model, [*known, *ids]) if known or ids else folder.START
    raise StepError(f"unknown model {model!r} in {registry}", advice=advice, kind="settings")


def _local(place: str) -> Path:
    if not storage.is_remote(place):
        return Path(place)
    return storage.download(place, Path(tempfile.mkdtemp(prefix="version-")))


def _changed(predictor: LoadedVersion, changes: Sequence[str]) -> LoadedVersion:
    """The version with other settings of the task's own, which decide how the model's outputs are processed.

    Raises:
        StepError: the task has no such setting, or its value is impossible.
    """
    own = type(predictor.task.settings).model_fields.keys() - EvaluationSettings.model_fields.keys()
    values = {}
    for change in changes:
        name, equals, value = change.partition("=")
        if not equals:
            raise StepError(f"--set {change!r}: write NAME=VALUE", kind="settings")
        if name not in own:
            known = nearest(name, own) if own else "it has none of its own"
            raise StepError(f"{_task(predictor)} has no setting {name!r}", advice=known, kind="settings")
        try:
            values[name] = json.loads(value)
        except ValueError:
            values[name] = value
    return predictor.with_settings(values)


def _predicted(predictor: LoadedVersion, inputs: Sequence[str], texts: Sequence[str]) -> Iterator[Predicted]:
    """A prediction for everything that was named, then for what was typed.

    Raises:
        StepError: something cannot be read, or is not typed.
    """
    serving = predictor.task.serving
    if texts and not overrides(serving, "from_text"):
        raise StepError(f"{_task(predictor)} takes no typed text", advice="give files or folders", kind="settings")
    for path in inputs:
        yield from predictor.of(path)
    yield from predictor.of_contents([(text, serving.from_text(text)) for text in texts])


def _drawn(predictor: LoadedVersion, found: Iterator[Predicted], folder: Path) -> Iterator[Predicted]:
    """The predictions, each with the ``picture`` that was drawn of it, named after its input.

    Raises:
        StepError: the task draws none, or a picture would take its input's place.
    """
    serving = predictor.task.serving
    if not overrides(serving, "render"):
        raise StepError(f"{_task(predictor)} draws no pictures", advice="leave --output out", kind="settings")
    folder.mkdir(parents=True, exist_ok=True)
    taken: set[str] = set()
    for one in found:
        path = folder / f"{_stem(one.name, taken)}.png"
        if Path(one.name).exists() and path.exists() and path.samefile(one.name):
            raise StepError(f"{path} is an input itself", advice="give another folder with --output", kind="settings")
        path.write_bytes(serving.render(one.content, one.said))
        yield one._replace(said={**one.said, "picture": str(path)})


def _stem(name: str, taken: set[str]) -> str:
    """A file's name without an ending for an input's name, another one for each input; it joins ``taken``."""
    plain = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in Path(name).stem)[:80]
    tries = (f"{plain}-{number}" if number > 1 else plain for number in range(1, len(taken) + 2))
    chosen = next(one for one in tries if one not in taken)
    taken.add(chosen)
    return chosen


def _task(predictor: LoadedVersion) -> str:
    return f"the task {predictor.task.name}"


def _lines(found: Iterator[Predicted]) -> None:
    for one in found:
        # JSON itself leaves out some of what moves a cursor or hides text.
        print(visible(json.dumps({"input": one.name, **one.said}, ensure_ascii=False)))


def _table(predictor: LoadedVersion, found: list[Predicted]) -> None:
    """A line for each input, its columns those of the task."""
    rows = []
    for one in found:
        drawn = {"picture": one.said["picture"]} if "picture" in one.said else {}
        rows.append({"input": one.name, **predictor.task.serving.row(one.said), **drawn})
    columns = list(dict.fromkeys(name for row in rows for name in row))
    table = Table(*columns, box=None, padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*(Text(one_line(row.get(name, ""))) for name in columns))
    Console().print(table)
