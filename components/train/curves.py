"""The page of a training: its learning curves side by side, why it stopped, and its epochs as a table."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from components.core import charts, reports
from components.train.settings import TrainingSettings

if TYPE_CHECKING:
    from components.train.checkpoint_file import TrainingState

# More epochs are folded, and of many every n-th is listed.
EPOCHS_SHOWN, EPOCHS_LISTED = 20, 300


def page(state: "TrainingState", settings: TrainingSettings, facts: Mapping[str, Any]) -> str:
    """The whole page; ``facts`` are for its top."""
    names = [name for name in state.history if not name.startswith("val_")]
    stride = math.ceil(state.epochs / EPOCHS_LISTED)
    epochs = sorted({*range(1, state.epochs + 1, stride), state.epochs})
    table = reports.table(
        ["epoch", *(name.replace("_", " ") for name in state.history)],
        [[number, *(values[number - 1] for values in state.history.values())] for number in epochs],
    )
    folded = reports.folded(f"{len(epochs):,} of {state.epochs:,}", table)
    return reports.page(
        "Training",
        reports.note(ending(state, settings)),
        reports.facts(facts),
        reports.section("Learning curves", reports.columns(*(_curve(name, state, settings) for name in names))),
        reports.section("Epochs", table if state.epochs <= EPOCHS_SHOWN else folded),
        *_samples(state),
    )


def ending(state: "TrainingState", settings: TrainingSettings) -> str:
    """Why training stopped, and of which epoch the model has the weights."""
    if state.epochs >= settings.epochs:
        stopped = f"Training stopped after all {settings.epochs:,} epochs"
    else:
        stopped = (
            f"Training stopped early, after {state.epochs:,} of {settings.epochs:,} epochs: the validation loss had "
            f"not improved for {state.waited:,} (training.patience={settings.patience})"
        )
    restored = bool(settings.patience and state.best_epoch)
    last = state.best_epoch if restored else state.epochs
    why = ", the one with the lowest validation loss" if restored else ""
    return f"{stopped}. The model has the weights of epoch {last:,}{why}."


def _curve(name: str, state: "TrainingState", settings: TrainingSettings) -> Markup:
    series = {
        title: state.history[key]
        for key, title in ((name, "training"), (f"val_{name}", "validation"))
        if key in state.history
    }
    mark = state.best_epoch if settings.patience and state.best_epoch else None
    drawing = charts.lines(name.replace("_", " "), range(1, state.epochs + 1), series, "epoch", mark)
    return Markup("<div><h3>{}</h3>{}</div>").format(name.replace("_", " "), drawing)


def _samples(state: "TrainingState") -> list[Markup]:
    """What the task shows after each epoch, last epoch first."""
    shown = [(number, texts) for number, texts in enumerate(state.samples, 1) if texts]
    rows = [(f"epoch {number}", text) for number, texts in reversed(shown) for text in texts]
    if not rows:
        return []
    return [reports.section("Samples", reports.table(["after", "sample"], rows, numeric=False))]
