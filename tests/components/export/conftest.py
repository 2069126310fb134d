"""A small digits model, trained and judged for real, once for all tests of export."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from places import Place

from components import storage
from components.core.examples import PreparedData
from components.export.settings import ExportSettings
from components.models import cnn
from components.tasks import image_classification
from components.tasks.contract import Task

TRAIN, TEST = 1000, 300


@dataclass
class Judged:
    """A folder with examples, trained and verdict, and a registry."""

    root: Path

    @property
    def registry(self) -> str:
        return str(self.root / "registry" / "digits")

    def place(self, name: str) -> Place:
        return Place(str(self.root / name))

    def copy(self, root: Path) -> "Judged":
        """The same elsewhere, to be spoilt."""
        shutil.copytree(self.root, root)
        return Judged(root)

    def train(self, precision: str) -> None:
        """Train and judge anew."""
        shutil.rmtree(self.root / "verdict")
        train(self.root, precision)
        evaluate(self)

    def verdict(self, **values: Any) -> None:
        """Write values into the verdict."""
        path = self.root / "verdict" / "verdict.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    def export(self, **changes: Any) -> dict[str, Place]:
        """Run export; the outputs by name."""
        from components.export.logic import export

        outputs = {name: self.place(f"out/{name}") for name in ("exported", "card", "card_page", "benchmark")}
        shutil.rmtree(self.root / "out", ignore_errors=True)
        inputs = {name: self.place(name) for name in ("examples", "trained", "verdict")}
        export(export=settings(**changes), registry=self.registry, **inputs, **outputs)
        return outputs


def settings(**changes: Any) -> dict[str, Any]:
    return ExportSettings(**({"timing_seconds": 0.01, "parity_examples": 200} | changes)).parameters()


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """What prepare, train and evaluate leave; not to be changed."""
    judged = Judged(tmp_path_factory.mktemp("digits"))
    write_examples(judged.root)
    train(judged.root)
    evaluate(judged)
    return judged


@pytest.fixture
def judged(pristine: Judged, tmp_path: Path) -> Judged:
    return pristine.copy(tmp_path / "judged")


def write_examples(root: Path) -> None:
    """Digits as TFDS writes them: one record file a split."""
    import tensorflow as tf
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    images = np.round(pixels * 255 / 16).astype(np.uint8)
    (root / "data").mkdir()
    for split, start, count in (("train", 0, TRAIN), ("test", TRAIN, TEST)):
        with tf.io.TFRecordWriter(str(root / "data" / f"digits-{split}.tfrecord-00000-of-00001")) as records:
            for number in range(start, start + count):
                values = {
                    "image": _bytes(images[number].tobytes()),
                    "key": _bytes(f"digit {number}".encode()),
                    "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[int(labels[number])])),
                    "brightness": tf.train.Feature(
                        float_list=tf.train.FloatList(value=[float(images[number].mean()) / 255])
                    ),
                }
                features = tf.train.Features(feature=values)
                records.write(tf.train.Example(features=features).SerializeToString())
    (root / "data" / storage.MANIFEST).write_text(storage.Manifest.from_folder(root / "data").text())
    info = {"classes": [f"digit {label}" for label in range(10)], "image_shape": [8, 8, 1], "encoding": "raw"}
    counts = {"train": TRAIN, "test": TEST}
    PreparedData(str(root / "data"), "digits", "image_classification", "digits", counts, info).write(root / "examples")


def _bytes(value: bytes) -> Any:
    import tensorflow as tf

    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def train(root: Path, precision: str = "float32") -> None:
    from components.core import devices
    from components.train.results import write_model

    data = PreparedData.read(root / "examples")
    batch = next(iter(data.batches("train", TRAIN)))
    (root / "trained").mkdir(exist_ok=True)
    with devices.configured(backend="tensorflow", precision=precision, seed=3):
        model = cnn.build(cnn.Settings(filters=(16, 32), padding="same"), (8, 8, 1), 10)
        model.compile("adam", **Task("image_classification", {}).training.compile_arguments(model))
        model.fit(batch["image"], batch["label"], batch_size=32, epochs=6, verbose=0)
        write_model(model, root / "trained" / "model.keras")
    record = {
        "name": "cnn",
        "precision": precision,
        "parameters": model.count_params(),
        "fingerprints": {"data": "digits", "model": "m", "training": "t"},
    }
    (root / "trained" / "training.json").write_text(json.dumps(record))


def evaluate(judged: Judged) -> None:
    from kfp.dsl import ClassificationMetrics

    from components.evaluate.logic import evaluate as judge

    evaluation = image_classification.Settings(top_k=3, abstain_below=0.3, resamples=100, min_slice=20).parameters()
    names = ("metrics", "report", "reasons", "verdict")
    outputs: dict[str, Any] = {name: judged.place(name) for name in names}
    outputs["classes"] = ClassificationMetrics(uri=str(judged.root / "classes"))
    inputs = {name: judged.place(name) for name in ("examples", "trained")}
    assert judge(evaluation=evaluation, registry=judged.registry, **inputs, **outputs)
