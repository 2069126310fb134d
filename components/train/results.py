"""What training leaves behind: the model and its record, the learning curves, TensorBoard's events, the metrics."""

import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from components.core import reports
from components.core.artifacts import Artifact
from components.core.files import write_atomically
from components.train.checkpoint_file import Progress
from components.train.settings import TrainingSettings

# Zip's earliest date.
EPOCH = (1980, 1, 1, 0, 0, 0)


def write(
    network: keras.Model,
    done: Progress,
    settings: TrainingSettings,
    record: dict[str, Any],
    speed: dict[str, Any],
    trained: Artifact,
    metrics: Artifact,
    curves: Artifact,
) -> None:
    """Write the trained model with its record, its metrics and the page of its learning curves.

    Args:
        record: of the model, for later steps.
        speed: the rate, seconds, device and goodput, for the metrics.
    """
    folder = Path(trained.path)
    folder.mkdir(parents=True, exist_ok=True)
    write_model(network, folder / "model.keras")
    write_atomically(folder / "history.json", json.dumps(done.history, indent=1))
    write_atomically(folder / "training.json", json.dumps(record, indent=1, sort_keys=True))
    restored = bool(settings.patience)
    final = final_values(done, restored)
    named = ("epochs", "best_epoch", "parameters", "precision", "backend", "threads")
    metrics.metadata.update(final | {name: record[name] for name in named} | speed)
    facts = {
        "model": f"{record['name']}, {record['parameters']:,} parameters",
        "device": speed["device"],
        "precision": record["precision"],
        "examples a second": round(speed["examples_per_second"]),
        "epochs": done.epochs,
        **{name: value for name, value in final.items() if name.startswith("val_")},
    }
    Path(curves.path).parent.mkdir(parents=True, exist_ok=True)
    write_atomically(Path(curves.path), curves_page(done, restored, facts))


def write_model(model: keras.Model, path: Path) -> None:
    """Save a model without its optimizer, so that equal weights give equal bytes.

    Keras writes the date and the addresses of shared objects into the archive; they are taken out and numbered.
    """
    bare = keras.Model(model.inputs, model.outputs, name=model.name)
    aside = path.with_suffix(".aside.keras")
    keras.saving.save_model(bare, aside)
    with zipfile.ZipFile(aside) as source, zipfile.ZipFile(path, "w") as target:
        for name in sorted(source.namelist()):
            content = source.read(name)
            match name:
                case "metadata.json":
                    kept = {key: value for key, value in json.loads(content).items() if key != "date_saved"}
                    content = json.dumps(kept).encode()
                case "config.json":
                    content = _renumbered(content.decode()).encode()
            target.writestr(zipfile.ZipInfo(name, EPOCH), content)
    aside.unlink()


def _renumbered(config: str) -> str:
    """Shared objects are told apart by their address in memory: number them in the order of their appearance."""
    numbers: dict[str, int] = {}
    return re.sub(
        r'("shared_object_id": )(\d+)', lambda found: f"{found[1]}{numbers.setdefault(found[2], len(numbers))}", config
    )


def final_values(done: Progress, restored: bool) -> dict[str, float]:
    """Losses and metrics of the epoch whose weights the model ends with."""
    at = (done.best_epoch if restored and done.best_epoch else done.epochs) - 1
    return {name: values[at] for name, values in done.history.items()}


class Board:
    """TensorBoard's event files, one folder for training and one for validation, as Keras's own callback lays them."""

    def __init__(self, folder: str | Path) -> None:
        self.folder, self.written = Path(folder), 0
        self.writers: dict[str, Any] = {}

    def write(self, done: Progress, rates: Mapping[str, float]) -> None:
        """Write the epochs that are not written yet; ``rates`` (such as the learning rate) belong to the last one."""
        for epoch in range(self.written, done.epochs):
            for name, values in done.history.items():
                part, tag = ("validation", name.removeprefix("val_")) if name.startswith("val_") else ("train", name)
                with self._writer(part).as_default():
                    tf.summary.scalar(f"epoch_{tag}", values[epoch], step=epoch)
        if done.epochs > self.written:
            with self._writer("train").as_default():
                for name, value in rates.items():
                    tf.summary.scalar(f"epoch_{name}", value, step=done.epochs - 1)
        self.written = done.epochs
        for writer in self.writers.values():
            writer.flush()

    def _writer(self, part: str) -> Any:
        if part not in self.writers:
            self.writers[part] = tf.summary.create_file_writer(str(self.folder / part))
        return self.writers[part]

    def close(self) -> None:
        """Close the files."""
        for writer in self.writers.values():
            writer.close()


def curves_page(done: Progress, restored: bool, facts: Mapping[str, Any]) -> str:
    """The learning curves as a page.

    Args:
        restored: whether the model ended with its best epoch's weights.
        facts: what to show at the top.
    """
    names = [name for name in done.history if not name.startswith("val_")]
    figures = [_curve(name, done, restored) for name in names]
    head = ["epoch", *done.history]
    rows = [[number + 1, *(values[number] for values in done.history.values())] for number in range(done.epochs)]
    ended = f"The model has the weights of epoch {done.best_epoch if restored else done.epochs}."
    return reports.page(
        "Training",
        reports.facts(facts),
        reports.section("Learning curves", reports.text(ended), *figures),
        reports.section("Epochs", reports.table(head, rows)),
        *_samples(done),
    )


def _samples(done: Progress) -> list[Markup]:
    """What the task had to show after each epoch, the last one first."""
    shown = [(number, texts) for number, texts in enumerate(done.samples, 1) if texts]
    rows = [(f"epoch {number}", text) for number, texts in reversed(shown) for text in texts]
    if not rows:
        return []
    return [reports.section("Samples", reports.table(["after", "sample"], rows, numeric=False))]


def _curve(name: str, done: Progress, restored: bool) -> Any:
    drawing = Figure(figsize=(6, 3.2))
    axes = drawing.add_subplot()
    epochs = range(1, done.epochs + 1)
    for key, label in ((name, "training"), (f"val_{name}", "validation")):
        if key in done.history:
            axes.plot(epochs, done.history[key], marker="o", markersize=3, label=label)
    if restored:
        axes.axvline(done.best_epoch, color="grey", linestyle=":", label="best")
    axes.set(xlabel="epoch", ylabel=name)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend()
    return reports.figure(drawing, f"{name} by epoch")
