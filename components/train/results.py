"""The outputs of training: the model and its record, metrics, learning curves and TensorBoard events."""

import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from components.core.artifacts import Artifact
from components.core.files import write_atomically
from components.train import curves as curves_page
from components.train.checkpoint_file import TrainingState
from components.train.settings import TrainingSettings

# The earliest date of a zip file.
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


def write(
    network: keras.Model,
    state: TrainingState,
    settings: TrainingSettings,
    record: dict[str, Any],
    speed: dict[str, Any],
    trained: Artifact,
    metrics: Artifact,
    curves: Artifact,
) -> None:
    """Write the trained model with its record, the metrics and the page of the learning curves.

    Args:
        record: facts about the model for later steps.
        speed: rate, seconds, device and goodput, for the metrics.
    """
    folder = Path(trained.path)
    folder.mkdir(parents=True, exist_ok=True)
    write_model(network, folder / "model.keras")
    write_atomically(folder / "history.json", json.dumps(state.history, indent=1))
    write_atomically(folder / "training.json", json.dumps(record, indent=1, sort_keys=True))
    restored = bool(settings.patience)
    final = final_values(state, restored)
    named = ("epochs", "best_epoch", "parameters", "precision", "backend", "threads")
    metrics.metadata.update(final | {name: record[name] for name in named} | speed)
    if other_code := record.get("other_code"):
        metrics.metadata["other_code"] = "; ".join(other_code)
    facts = {
        "model": f"{record['name']}, {record['parameters']:,} parameters",
        "device": speed["device"],
        "precision": record["precision"],
        "epochs": f"{state.epochs:,} of {settings.epochs:,}",
        "examples a second": round(speed["examples_per_second"]),
        "an epoch took": f"{(speed['seconds_steps'] + speed['seconds_validation']) / max(1, state.epochs):.2f} s",
        **{name.replace("val_", "validation "): f"{value:.4f}" for name, value in final.items() if name[:4] == "val_"},
    }
    Path(curves.path).parent.mkdir(parents=True, exist_ok=True)
    write_atomically(Path(curves.path), curves_page.page(state, settings, facts))


def write_model(model: keras.Model, path: Path) -> None:
    """Save a model without its optimizer; equal weights give equal bytes.

    Keras writes the date and the addresses of shared objects into the archive: the date is removed, and the addresses
    are replaced by numbers.
    """
    bare = keras.Model(model.inputs, model.outputs, name=model.name)
    temporary = path.with_suffix(".temporary.keras")
    keras.saving.save_model(bare, temporary)
    with zipfile.ZipFile(temporary) as source, zipfile.ZipFile(path, "w") as target:
        for name in sorted(source.namelist()):
            content = source.read(name)
            match name:
                case "metadata.json":
                    metadata = {key: value for key, value in json.loads(content).items() if key != "date_saved"}
                    content = json.dumps(metadata).encode()
                case "config.json":
                    content = _renumbered(content.decode()).encode()
            target.writestr(zipfile.ZipInfo(name, ZIP_EPOCH), content)
    temporary.unlink()


def _renumbered(config: str) -> str:
    """A model's configuration in which shared objects are numbered in the order of their appearance."""
    numbers: dict[str, int] = {}
    return re.sub(
        r'("shared_object_id": )(\d+)', lambda match: f"{match[1]}{numbers.setdefault(match[2], len(numbers))}", config
    )


def final_values(state: TrainingState, restored: bool) -> dict[str, float]:
    """Losses and metrics of the epoch whose weights the model has.

    Args:
        restored: whether these are the best epoch's.
    """
    last = (state.best_epoch if restored and state.best_epoch else state.epochs) - 1
    return {name: values[last] for name, values in state.history.items()}


class TensorBoardLog:
    """TensorBoard's event files in two folders, ``train`` and ``validation``, as Keras's own callback writes them."""

    def __init__(self, folder: str | Path) -> None:
        self.folder, self.written = Path(folder), 0
        self.writers: dict[str, Any] = {}

    def write(self, state: TrainingState, rates: Mapping[str, float]) -> None:
        """Write the epochs that are not written yet; ``rates``, such as the learning rate, belong to the last one."""
        for epoch in range(self.written, state.epochs):
            for name, values in state.history.items():
                folder, tag = ("validation", name.removeprefix("val_")) if name.startswith("val_") else ("train", name)
                with self._writer(folder).as_default():
                    tf.summary.scalar(f"epoch_{tag}", values[epoch], step=epoch)
        if state.epochs > self.written:
            with self._writer("train").as_default():
                for name, value in rates.items():
                    tf.summary.scalar(f"epoch_{name}", value, step=state.epochs - 1)
        self.written = state.epochs
        for writer in self.writers.values():
            writer.flush()

    def _writer(self, folder: str) -> Any:
        if folder not in self.writers:
            self.writers[folder] = tf.summary.create_file_writer(str(self.folder / folder))
        return self.writers[folder]

    def close(self) -> None:
        for writer in self.writers.values():
            writer.close()
