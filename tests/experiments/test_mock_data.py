"""Experiments whose data cannot be here: their own data section, read by the code that reads the real ones.

TensorFlow Datasets makes up examples with the features of a data set (``tfds.testing.mock_data``); sizes of models and
batches are smaller, and all else is as it is. For ``coco`` it cannot (see test_detection.py).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from places import Place

from components.core.config import SECTIONS, validated
from components.core.examples import PreparedData
from components.prepare.logic import prepare
from components.train.logic import train
from pipelines import experiment
from pipelines.compile import compiler
from pipelines.compile.targets import Target

# TFDS asks protobuf, which finds that old-fashioned.
pytestmark = pytest.mark.filterwarnings(r"ignore:.*label\(\) is deprecated:DeprecationWarning")
STEPS = 20
# Experiment -> examples that are made up, of which the first HELD are the official test split, and what is smaller.
HELD = 20
SMALLER = {
    "wmt": (
        2500,
        [
            *("model.pieces=50", "model.width=32", "model.layers=1", "model.hidden=64", "model.source_length=16"),
            *("model.target_length=16", "training.batch_size=8", "training.warmup_steps=5"),
        ],
    ),
    "imagenet": (400, ["model.depth=18", "training.batch_size=2", "training.warmup_steps=5"]),
}
# A residual network on pictures of 224 pixels takes half a minute.
LONG = {"imagenet"}


@contextmanager
def made_up(dataset: str, examples: int, folder: Path) -> Iterator[None]:
    """A data set that TFDS takes for prepared; its splits have no example in common."""
    import tensorflow_datasets as tfds

    builder = tfds.builder(dataset, data_dir=folder)
    template = tfds.core.ShardedFileTemplate(
        data_dir=builder.data_dir, dataset_name=builder.name, filetype_suffix="tfrecord"
    )
    counts = {"train": examples - HELD, "validation": HELD, "test": HELD}
    builder.info.set_splits(
        tfds.core.splits.SplitDict(
            [
                tfds.core.SplitInfo(name=name, shard_lengths=[count], num_bytes=0, filename_template=template)
                for name, count in counts.items()
            ]
        )
    )
    Path(builder.data_dir).mkdir(parents=True)
    builder.info.write_to_directory(builder.data_dir)
    reader = tfds.core.dataset_builder.FileReaderBuilder
    policy = tfds.testing.MockPolicy.USE_FILES
    with tfds.testing.mock_data(num_examples=examples, data_dir=folder, policy=policy):
        every = reader._as_dataset

        def own(self: Any, split: Any, **options: Any) -> Any:
            data = every(self, split=split, **options)
            return data.skip(HELD) if str(split) == "train" else data.take(HELD)

        with mock.patch.object(reader, "_as_dataset", own):
            yield


@pytest.mark.parametrize("name", [*SMALLER, "coco"])
def test_the_experiment_compiles_and_its_sections_are_valid(name: str) -> None:
    target = Target(name="here", image_prefix="x/y", data_root="gs://d", checkpoint_root="gs://c", registry="gs://r")
    named = experiment.load(name)
    assert compiler.compile_experiment(named, target, tag=lambda step, image: f"{step}-0")
    sections = named.experiment.sections()
    for section in SECTIONS:
        validated(section, sections[section], named.experiment.data.task)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in LONG else ()) for name in SMALLER]
)
def test_twenty_steps_run_on_made_up_data(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    examples, smaller = SMALLER[name]
    once = ["training.epochs=1", f"training.steps_per_epoch={STEPS}", "training.validation_steps=1"]
    wanted = experiment.load(name).with_settings([*smaller, *once]).experiment
    assert wanted.data == experiment.load(name).experiment.data
    sections = wanted.sections()
    prepared, report = Place(str(tmp_path / "examples")), Place(str(tmp_path / "report.html"))
    with made_up(wanted.data.dataset, examples, tmp_path / "tfds"):
        prepare(sections["data"], str(tmp_path / "data"), "", prepared, report)
    data = PreparedData.read(prepared.path)
    assert data.task == wanted.data.task
    assert data.splits["test"] <= HELD < data.splits["train"]
    outputs = {part: Place(str(tmp_path / part)) for part in ("trained", "metrics", "curves", "logs")}
    train(
        examples=prepared,
        model=sections["model"],
        training=sections["training"],
        checkpoint_root=str(tmp_path / "checkpoints"),
        accelerator_type="",
        accelerator_count="",
        **outputs,
    )
    assert outputs["metrics"].metadata["epochs"] == 1
    assert outputs["metrics"].metadata["loss"] > 0
    assert (tmp_path / "trained" / "model.keras").is_file()
