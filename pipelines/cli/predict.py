"""``suanli predict``: what a published model says of pictures, in any of its formats."""

import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

VERSION, CHAMPION = "version.json", "champion.json"


def predict(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A model's name, a registry, a version's folder or a run's id.")
    ],
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help="Pictures, folders of them, .npy files.")],
    format: Annotated[str, typer.Option("--format", help="One of the model's formats.")] = "",
    top: Annotated[int, typer.Option("--top", min=0, help="How many labels; 0 for as many as evaluate counted.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each input.")] = False,
    runs: Annotated[Path | None, typer.Option("--runs", help="The folder of runs; also SUANLI_RUNS.")] = None,
) -> None:
    """Predict with a published model: a table on a terminal, lines of JSON for programs."""
    # TensorFlow and its parts greet at length.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from components.export import prediction
    from pipelines.local import folder

    predictor = prediction.opened(version_folder(model, folder.root(runs)), format, {"top_k": top} if top else None)
    found = ({"input": one.name, **one.said} for path in inputs for one in predictor.of(path))
    if as_json or not sys.stdout.isatty():
        _lines(found)
    else:
        _table(list(found))


def version_folder(model: str, runs: Path) -> Path:
    """The local folder of the version that a user means; what is in Cloud Storage is copied here.

    Args:
        model: a folder or ``gs://`` prefix of a version or a registry, a model's name in the local registry, or a
            run's id.
        runs: the folder of runs.

    Raises:
        StepError: nothing of that name has a published model.
    """
    from components.core import storage
    from components.core.errors import StepError
    from components.core.registry import champion
    from components.core.rooms import nearest
    from pipelines.local import folder

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
    advice = nearest(model, [*known, *ids]) if known or ids else "make one with: suanli run digits"
    raise StepError(f"unknown model {model!r} in {registry}", advice=advice, kind="settings")


def _local(place: str) -> Path:
    from components.core import storage

    if not storage.is_remote(place):
        return Path(place)
    return storage.download(place, Path(tempfile.mkdtemp(prefix="version-")))


def _lines(found: Any) -> None:
    import json

    from components.core.plain import visible

    for one in found:
        # JSON itself leaves out some of what moves a cursor or hides text.
        print(visible(json.dumps(one, ensure_ascii=False)))


def _table(found: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from components.core.plain import one_line

    table = Table("input", "label", "probability", "next", box=None, padding=(0, 2, 0, 0))
    for one in found:
        others = one_line(", ".join(f"{other['label']} {other['probability']:.3f}" for other in one["top"][1:]))
        label = Text("none is sure enough", style="dim") if one["label"] is None else Text(one_line(str(one["label"])))
        table.add_row(Text(one_line(one["input"])), label, f"{one['probability']:.3f}", Text(others, style="dim"))
    Console().print(table)
