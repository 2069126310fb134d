"""The champion on the pages of a run that was compared with it: its card, and its learning curves beside the run's."""

import shutil
from pathlib import Path
from typing import Any

from markupsafe import Markup

from components.core import charts, reports
from pipelines.runs import navigation
from pipelines.runs.folder import RECORD, Run
from pipelines.runs.record import json_or_empty

CURVES = f"{navigation.FOLDER}/learning-curves.html"


def add(run: Run, values: dict[str, Any], version: str) -> None:
    """Copy the champion's card, and draw its curves into the training page, if they are on this machine.

    Args:
        version: the champion's; empty for none.
    """
    registry = Path(values.get("target", {}).get("registry", ""), values["experiment"])
    card = registry / "versions" / version / "card.html"
    if version and card.is_file():
        (run.folder / navigation.FOLDER).mkdir(exist_ok=True)
        shutil.copyfile(card, run.folder / navigation.FOLDER / navigation.CHAMPION)
    page, other = run.folder / CURVES, _trained_by(run, registry, version)
    if other is not None and page.is_file():
        text = page.read_text(encoding="utf-8")
        section = _curves(run, other, version)
        if "</main>" in text and section:
            page.write_text(text.replace("</main>", f"{section}</main>", 1), encoding="utf-8")


def _trained_by(run: Run, registry: Path, version: str) -> Run | None:
    """The run that published a version, by the registry's history, if it is another one whose folder is still there."""
    history = json_or_empty(registry / "champion.json").get("history")
    for entry in history if version and isinstance(history, list) else []:
        if isinstance(entry, dict) and entry.get("version") == version and entry.get("by") == "publish":
            other = Run(run.root / Path(str(entry.get("run", ""))).name)
            return other if other.folder != run.folder and (other.folder / RECORD).is_file() else None
    return None


def _curves(run: Run, other: Run, version: str) -> Markup | None:
    """Validation after each epoch of both; without validation, training."""
    ours, theirs = (_history(one) for one in (run, other))
    both = [name for name in ours if name in theirs]
    names = [name for name in both if name.startswith("val_")] or both
    if not names:
        return None
    drawings = []
    for name in names:
        title = name.replace("val_", "validation ").replace("_", " ")
        epochs = range(1, max(len(ours[name]), len(theirs[name])) + 1)
        series = {"this model": ours[name], "": [], f"champion {version}": theirs[name]}
        drawing = charts.lines(title, epochs, series, "epoch", None)
        drawings.append(Markup("<div><h3>{}</h3>{}</div>").format(title, drawing))
    return reports.section("Beside the champion", reports.columns(*drawings))


def _history(run: Run) -> dict[str, list[float]]:
    """Metric -> its value after each epoch."""
    folder = run.output("train", "trained")
    return {name: values for name, values in json_or_empty(folder / "history.json").items() if values} if folder else {}
