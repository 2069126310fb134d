"""``suanli predict``: predictions of a published model for files or texts, by any of its formats."""

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from components import storage
from components.core.choices import nearest
from components.core.config import from_text
from components.core.errors import StepError
from components.core.plain import one_line, visible
from components.registry import champion
from components.tasks import EvaluationSettings
from pipelines.cli.options import Runs
from pipelines.runs import folder

if TYPE_CHECKING:
    from components.export.version import LoadedVersion, Predicted

VERSION, CHAMPION = "version.json", "champion.json"
# The value of an input that could not be read, components.export.version.ERROR.
ERROR = "error"
# Rows whose widths are known before they are printed: memory does not grow with the inputs.
ROWS = 1000


def predict(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A model's name, a registry, a version's folder or a run's id.")
    ],
    inputs: Annotated[
        list[str] | None, typer.Argument(metavar="INPUT...", help="Files of the model's kind, or folders of them.")
    ] = None,
    text: Annotated[
        list[str] | None, typer.Option("--text", metavar="TEXT", help="An input given as text; repeatable.")
    ] = None,
    format: Annotated[str, typer.Option("--format", help="One of the model's formats.")] = "",
    sets: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Change a setting of the task; repeatable.")
    ] = None,
    top: Annotated[int, typer.Option("--top", min=0, help="Number of answers; 0 for as many as in evaluate.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FOLDER", help="Draw each prediction as a PNG in this folder."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each input.")] = False,
    runs: Runs = None,
) -> None:
    """Predict with a published model: a table on a terminal, lines of JSON for programs."""
    # Without it TensorFlow logs dozens of lines when it is imported.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from components.export import version  # NumPy, which neither --help nor a bad option needs

    if not inputs and not text:
        raise StepError("there is nothing to predict", advice="give files, folders or --text", kind="settings")
    predictor = version.load(version_folder(model, folder.root(runs)), format)
    predictor = with_task_settings(predictor, [*(sets or []), *([f"top_k={top}"] if top else [])])
    predictions = predictions_of(predictor, inputs or [], text or [])
    if output is not None:
        predictions = _drawn(predictor, predictions, output)
    failures: list[str] = []
    predictions = _errors_shown(predictions, failures)
    if as_json or not sys.stdout.isatty():
        _print_lines(predictions)
    else:
        _print_tables(predictor, predictions)
    if failures:
        raise typer.Exit(1)


def version_folder(model: str, runs: Path) -> Path:
    """The local folder of the version that the user means; a version in Cloud Storage is downloaded.

    Args:
        model: a folder or ``gs://`` prefix of a version or a registry, a model's name in the local registry, or a
            run's id.
        runs: the folder of runs.

    Raises:
        StepError: there is no published model of that name.
    """
    registry = runs / folder.REGISTRY
    for uri in (model, str(registry / model)):
        if storage.exists(storage.join(uri, VERSION)):
            remote = storage.is_remote(uri)
            return storage.download(uri, Path(tempfile.mkdtemp(prefix="version-"))) if remote else Path(uri)
        if storage.exists(storage.join(uri, CHAMPION)) and (published := champion(uri)):
            return published.folder
    known = [path.name for path in registry.glob("*") if (path / CHAMPION).is_file()]
    if storage.is_remote(model) or Path(model).is_dir():
        raise StepError(
            f"{model} holds neither {VERSION} nor {CHAMPION}", advice=nearest(model, known) if known else ""
        )
    ids = [run.id for run in folder.every(runs)]
    if any(run_id.startswith(model) for run_id in ids) or (ids and model == folder.LATEST):
        run = folder.find(runs, model)
        if exported := run.output("export", "exported"):
            return exported
        raise StepError(
            f"run {run.id} exported no model", advice=f"suanli runs show {run.id} says why", kind="settings"
        )
    advice = nearest(model, [*known, *ids]) if known or ids else folder.START
    raise StepError(f"unknown model {model!r} in {registry}", advice=advice, kind="settings")


def with_task_settings(predictor: "LoadedVersion", changes: Sequence[str]) -> "LoadedVersion":
    """The version with other settings of the task's own, which decide how the model's outputs are processed.

    Raises:
        StepError: the task has no such setting, or its value is invalid.
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
        values[name] = from_text(type(predictor.task.settings), name, value)
    return predictor.with_settings(values)


def predictions_of(predictor: "LoadedVersion", inputs: Sequence[str], texts: Sequence[str]) -> "Iterator[Predicted]":
    """A prediction for each file, then for each text, in chunks across files.

    Raises:
        StepError: a file does not exist, or the task does not take text.
    """
    from components.tasks.contract import overrides

    serving = predictor.task.serving
    if texts and not overrides(serving, "from_text"):
        raise StepError(f"{_task(predictor)} does not take text", advice="give files or folders", kind="settings")
    for path in inputs:
        if not Path(path).expanduser().exists():
            raise StepError(f"no such file or folder: {path}", kind="settings")
    typed = [(text, serving.from_text(text)) for text in texts]
    return predictor.predict(chain(chain.from_iterable(map(predictor.read, inputs)), typed))


def _drawn(predictor: "LoadedVersion", predictions: "Iterator[Predicted]", folder: Path) -> "Iterator[Predicted]":
    """The predictions, each with its ``picture``: a file named after its input.

    Raises:
        StepError: the task draws no pictures, or a picture would overwrite its input.
    """
    from components.tasks.contract import overrides

    serving = predictor.task.serving
    if not overrides(serving, "render"):
        raise StepError(f"{_task(predictor)} draws no pictures", advice="omit --output", kind="settings")
    folder.mkdir(parents=True, exist_ok=True)
    taken: dict[str, int] = {}
    for prediction in predictions:
        if ERROR in prediction.values:
            yield prediction
            continue
        path = folder / f"{_stem(prediction.name, taken)}.png"
        if Path(prediction.name).exists() and path.exists() and path.samefile(prediction.name):
            raise StepError(f"{path} is an input itself", advice="give another folder with --output", kind="settings")
        path.write_bytes(serving.render(prediction.content, prediction.values))
        yield prediction._replace(values={**prediction.values, "picture": str(path)})


def _stem(name: str, taken: dict[str, int]) -> str:
    """The stem of a file name for an input's name, different for each input; ``taken`` maps those that are in use to
    the number of inputs that would have them."""
    plain = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in Path(name).stem)[:80]
    stem = plain
    while stem in taken:
        taken[plain] += 1
        stem = f"{plain}-{taken[plain]}"
    taken[stem] = 1
    return stem


def _errors_shown(predictions: "Iterator[Predicted]", failures: list[str]) -> "Iterator[Predicted]":
    """The predictions; inputs that could not be read are told on stderr, and their names added to ``failures``."""
    for prediction in predictions:
        if ERROR in prediction.values:
            failures.append(prediction.name)
            print(f"error: {one_line(prediction.values[ERROR])}", file=sys.stderr)
        yield prediction


def _task(predictor: "LoadedVersion") -> str:
    return f"the task {predictor.task.name}"


def _print_lines(predictions: "Iterator[Predicted]") -> None:
    for prediction in predictions:
        # JSON does not escape every character that moves a cursor or hides text.
        print(visible(json.dumps({"input": prediction.name, **prediction.values}, ensure_ascii=False)))


def _print_tables(predictor: "LoadedVersion", predictions: "Iterator[Predicted]") -> None:
    """Print a line for each input that was read, with the columns of the task; a table for every ROWS of them."""
    rows = (_row(predictor, prediction) for prediction in predictions if ERROR not in prediction.values)
    while part := list(islice(rows, ROWS)):
        columns = list(dict.fromkeys(name for row in part for name in row))
        table = Table(*columns, box=None, padding=(0, 2, 0, 0))
        for row in part:
            table.add_row(*(Text(one_line(row.get(name, ""))) for name in columns))
        Console().print(table)


def _row(predictor: "LoadedVersion", prediction: "Predicted") -> dict[str, str]:
    drawn = {"picture": prediction.values["picture"]} if "picture" in prediction.values else {}
    return {"input": prediction.name, **predictor.task.serving.row(prediction.values), **drawn}
