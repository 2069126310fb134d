"""The experiments with boxes, small: prepared, trained, judged, exported in every format, and used for prediction."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from places import Place

from components.core.examples import PreparedData
from components.data import composed_scenes
from components.data import tfds as source
from components.export.settings import ExportSettings
from pipelines import experiment

pytestmark = [
    pytest.mark.slow,
    # TFDS 4.9.10 reads its own description by a call that protobuf 6 deprecates.
    pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning"),
]
STEPS = 20


def trained(root: Path, data: Any, model: Any, training: Any) -> dict[str, Place]:
    """What prepare and train leave."""
    from components.prepare.logic import prepare
    from components.train.logic import train

    names = ("examples", "data_report", "trained", "metrics", "curves", "logs")
    places = {name: Place(str(root / name)) for name in names}
    prepare(data.parameters(), str(root / "store"), "", places["examples"], places["data_report"])
    outputs = {name: places[name] for name in ("trained", "metrics", "curves", "logs")}
    train(places["examples"], model.parameters(), training.parameters(), str(root / "checkpoints"), "", "0", **outputs)
    return places


def coco(root: Path, count: int) -> None:
    """A folder as TFDS leaves coco/2017, of random pictures and boxes in its own features.

    ``tfds.testing.mock_data`` makes none where files' bytes are asked for: the lists of an object's features then get
    different lengths ("The length of all elements of one sequence should be the same").
    """
    import tensorflow as tf
    import tensorflow_datasets as tfds

    random = np.random.default_rng(0)
    builder = tfds.builder("coco/2017", data_dir=root)
    builder.data_path.mkdir(parents=True)
    template = tfds.core.ShardedFileTemplate(
        data_dir=builder.data_path, dataset_name="coco", filetype_suffix="tfrecord"
    )
    splits = []
    for split in ("train", "validation", "test"):
        own = template.replace(split=split)
        with tf.io.TFRecordWriter(str(own.sharded_filepath(shard_index=0, num_shards=1))) as records:
            for number in range(count):
                records.write(builder.info.features.serialize_example(picture(random, number)))
        splits.append(tfds.core.SplitInfo(name=split, shard_lengths=[count], num_bytes=0, filename_template=own))
    builder.info.set_splits(tfds.core.splits.SplitDict(splits))
    builder.info.write_to_directory(builder.data_path)


def picture(random: np.random.Generator, number: int) -> dict[str, Any]:
    """An example of coco/2017: 0 to 5 objects, the last one about a crowd."""
    import tensorflow_datasets as tfds

    pixels = random.integers(0, 256, (90, 120, 3), np.uint8)
    objects = []
    for one in range(number % 6):
        top, left = random.uniform(0, 0.5, 2)
        box = tfds.features.BBox(ymin=top, xmin=left, ymax=top + 0.4, xmax=left + 0.3)
        objects.append({"area": 1, "bbox": box, "id": one, "is_crowd": one == 4, "label": int(random.integers(80))})
    return {"image": pixels, "image/filename": f"{number}.jpg", "image/id": number, "objects": objects}


def test_coco_trains_on_the_data_section_of_its_own_experiment(tmp_path: Path, monkeypatch: Any) -> None:
    import tensorflow_datasets as tfds

    pytest.importorskip("keras_hub")
    coco(tmp_path / "tfds", 24)
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path / "tfds"))
    named = experiment.load("coco").experiment
    opened = source.source(named.data)
    assert len(opened.info["classes"]) == 80 and opened.counts == {"train": 24, "test": 24}
    # Smaller pictures and a smaller network than the experiment's, as this machine allows.
    data = named.data.model_copy(update={"image_shape": (128, 128, 3), "split": (0.8, 0.2, 0.0)})
    model = named.model.model_copy(update={"depth": 18, "head": 1})
    training = named.training.model_copy(
        update={"epochs": 1, "batch_size": 2, "steps_per_epoch": STEPS, "warmup_steps": 2, "precision": "float32"}
    )
    places = trained(tmp_path, data, model, training)
    examples = PreparedData.read(places["examples"].path)
    batch = next(iter(examples.batches("test", 24).as_numpy_iterator()))
    # Every sixth picture has five objects, one of them a crowd.
    assert sorted(batch["count"].tolist()) == sorted(min(number % 6, 4) for number in range(24))
    assert places["metrics"].metadata["loss"] > 0 and (Path(places["trained"].path) / "model.keras").is_file()


def test_scenes_go_through_every_step_and_format(tmp_path: Path) -> None:
    from kfp.dsl import ClassificationMetrics

    from components.evaluate.logic import evaluate
    from components.export import version
    from components.export.logic import export

    named = experiment.load("composed_scenes").experiment
    data = named.data.model_copy(update={"side": 64, "train_scenes": 700, "test_scenes": 80})
    model = named.model.model_copy(update={"filters": (8, 16, 16, 16), "pyramid": 16, "head": 1})
    training = named.training.model_copy(
        update={"epochs": 6, "batch_size": 16, "warmup_steps": 10, "precision": "float32"}
    )
    places = trained(tmp_path, data, model, training)
    settings = named.evaluation.model_copy(update={"require": (), "resamples": 100, "confidence": 0.06})
    for name in ("scores", "report", "reasons", "verdict", "exported", "card", "card_page", "benchmark"):
        places[name] = Place(str(tmp_path / name))
    classes = ClassificationMetrics(uri=str(tmp_path / "classes.json"))
    judge = (places["scores"], classes, places["report"], places["reasons"], places["verdict"])
    assert evaluate(places["examples"], places["trained"], settings.parameters(), str(tmp_path / "registry"), *judge)
    page = Path(places["report"].path).read_text()
    assert "Average precision by class" in page and "Pictures with most mistakes" in page
    assert places["scores"].metadata["map50"] >= 0
    formats = ExportSettings(parity_examples=40, timing_seconds=0.01)
    inputs = {name: places[name] for name in ("examples", "trained", "verdict")}
    outputs = {name: places[name] for name in ("exported", "card", "card_page", "benchmark")}
    export(export=formats.parameters(), registry=str(tmp_path / "registry"), **inputs, **outputs)
    other = data.model_copy(update={"seed": 5, "test_scenes": 1})
    scene = next(composed_scenes.source(other).splits["test"]())["image"]
    Image.fromarray(scene[..., 0]).save(tmp_path / "scene.png")
    said = {}
    for format in formats.formats:
        predictor = version.load(Path(places["exported"].path), format)
        (found,) = predictor.predict(predictor.read(str(tmp_path / "scene.png")))
        said[format] = found.values["objects"]
        drawn = Image.open(io.BytesIO(predictor.task.serving.render(found.content, found.values)))
        assert drawn.size == (384, 384)
    assert said["saved_model"] and said["litert"] == said["saved_model"] == said["onnx"]
