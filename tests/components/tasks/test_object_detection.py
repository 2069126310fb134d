"""Object detection, from a source's boxes to a record and from a network's outputs to a picture with boxes."""

import io
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from places import Place

from components.core.examples import PreparedData
from components.core.inference import Predictor, traced
from components.data import coco_folder, composed_scenes, fashion_mnist
from components.models import detector
from components.prepare.logic import prepare
from components.tasks import object_detection as task
from components.tasks.contract import Task
from components.tasks.object_detection import evaluation
from components.vision import boxes
from components.vision.boxes import NONE

task_for = partial(Task, "object_detection")

# TFDS 4.9.10 reads its own description by a call that protobuf 6 deprecates.
pytestmark = pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning")
INFO: dict[str, Any] = {"classes": ["cat", "dog"], "image_shape": [32, 32, 3], "encoding": "raw", "most_boxes": 3}
SMALL = detector.Settings(filters=(4, 8, 8, 8), pyramid=8, head=1)


def example(*rows: list[float], **changes: Any) -> dict[str, Any]:
    """A picture with objects: edges and label each."""
    found = np.array(rows, np.float32).reshape(-1, 5)
    image = np.random.default_rng(len(rows)).integers(0, 256, (32, 32, 3), np.uint8)
    return {"image": image, "boxes": found[:, :4], "labels": found[:, 4].astype(int), **changes}


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (example([0, 0, 1, 1, 2]), "object 1: label 2 is outside 0..1"),
        (example([0, 0, 1, 1, 0], [0, 0.5, 1, 0.5, 0]), "object 2: its box from (0, 16) to (32, 16) has no area"),
        (example([0.5, 0, 0.25, 1, 0]), "object 1: its box from (16, 0) to (8, 32) is inverted: left to right and"),
        (example([0, 0, 2, 1, 0]), "object 1: its box from (0, 0) to (64, 32) lies outside the picture of 32 x 32"),
        (example([0, 0, float("nan"), 1, 0]), "object 1: its box has an edge that is not a number"),
        (example(*[[0, 0, 1, 1, 0]] * 4), "4 objects, at most 3 were expected"),
        (example([0, 0, 1, 1, 0], labels=[0, 1]), "1 boxes and 2 labels"),
        (example(image=np.zeros((3, 3, 3), np.uint8)), "the picture is uint8 [3, 3, 3], not uint8 [32, 32, 3]"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_what_is_wrong_with_an_example_is_told_in_a_line(given: dict[str, Any], fault: str) -> None:
    stored = task_for(INFO).examples.to_records([example([0, 0, 1, 1, 1]), given, example()])
    assert list(stored.faults) == [1] and stored.faults[1].startswith(fault)
    assert len(stored.contents) == 2 and stored.features["count"].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("labels", "caution"),
    [
        ([[NONE, NONE], [NONE, NONE]], "No test picture has an object"),
        ([[1, NONE], [1, 1]], "Every object of the test split is of the class 'dog'"),
        ([[0, NONE], [NONE, 1]], ""),
    ],
)
def test_a_test_split_that_tells_little_is_named(labels: list[list[int]], caution: str) -> None:
    found = task_for(INFO, task.Settings()).evaluation.cautions({"labels": np.array(labels)})
    assert len(found) == bool(caution) and all(caution in one for one in found)


def test_a_box_that_stands_out_by_a_rounding_is_cut() -> None:
    stored = task_for(INFO).examples.to_records([example([-0.001, 0, 1.002, 1, 0])])
    assert np.frombuffer(stored.features["boxes"][0], "<f4").tolist() == [0, 0, 1, 1]


def test_a_batch_without_a_good_example_is_empty() -> None:
    stored = task_for(INFO).examples.to_records([example(labels=[5])])
    assert (len(stored.contents), len(stored.features["count"]), len(stored.faults)) == (0, 0, 1)


# --- prepared data ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    """A folder in COCO's format with pictures of two objects, of one and of none, prepared."""
    import json

    root = tmp_path_factory.mktemp("detection")
    images, annotations = [], []
    for number in range(30):
        pixels = np.full((40, 60, 3), 8 * number, np.uint8)
        Image.fromarray(pixels).save(root / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png"})
        annotations += [
            {"id": 10 * number + one, "image_id": number, "category_id": one, "bbox": [6 * one, 4, 30, number + 1]}
            for one in range(number % 3)
        ]
    categories = [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}]
    found = {"images": images, "annotations": annotations, "categories": categories}
    (root / coco_folder.FILE).write_text(json.dumps(found))
    settings = coco_folder.Settings(folder=str(root), image_shape=(32, 32, 3), split=(0.5, 0.2, 0.3))
    examples, report = Place(str(root / "out" / "examples")), Place(str(root / "out" / "report"))
    prepare(settings.parameters(), str(root / "store"), "", examples, report)
    page = Path(report.path).read_text()
    assert "Objects by class and split" in page and "training pictures have no object" in page
    return PreparedData.read(examples.path)


def every(prepared: PreparedData) -> dict[str, np.ndarray]:
    parts = [next(iter(prepared.batches(split, 100).as_numpy_iterator())) for split in prepared.splits]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def test_boxes_come_back_padded(prepared: PreparedData) -> None:
    batch = every(prepared)
    assert batch["image"].shape == (30, 32, 32, 3) and batch["boxes"].shape == (30, 2, 4)
    for image, found, labels, count in zip(
        batch["image"], batch["boxes"], batch["labels"], batch["count"], strict=True
    ):
        number = round(image.mean() / 8)
        assert count == number % 3 and labels.tolist() == [[NONE, NONE], [0, NONE], [0, 1]][count]
        expected = np.array([[6 * one, 4, 6 * one + 30, 5 + number] for one in range(count)]).reshape(-1, 4)
        np.testing.assert_allclose(found[:count], expected / [60, 40, 60, 40], rtol=1e-6)
        assert not found[count:].any()
    assert set(batch["height"]) == {40} and set(batch["width"]) == {60}


def test_tensorflow_datasets_reads_them_too(prepared: PreparedData) -> None:
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(prepared.directory)
    found = [one for split in prepared.splits for one in tfds.as_numpy(builder.as_dataset(split=split))]
    ours = every(prepared)
    assert [one["key"] for one in found] == ours["key"].tolist()
    for one, padded, labels, count in zip(found, ours["boxes"], ours["labels"], ours["count"], strict=True):
        assert one["image"].shape == (40, 60, 3) and one["boxes"].shape == (count, 4)
        assert np.array_equal(one["boxes"], padded[:count]) and one["labels"].tolist() == labels[:count].tolist()


def test_host_and_graph_feed_a_network_alike(prepared: PreparedData) -> None:
    batch = next(iter(prepared.batches("train", 8)))
    inputs, targets = task_for(prepared.info).training.input_fn({})(batch)
    assert np.array_equal(inputs, task_for(prepared.info).evaluation.encode(batch["image"].numpy(), {}))
    assert np.array_equal(targets[..., :4], batch["boxes"]) and np.array_equal(targets[..., 4], batch["labels"])


def test_a_flip_moves_the_boxes_with_the_pixels() -> None:
    import tensorflow as tf

    images = np.zeros((40, 32, 32, 1), np.uint8)
    images[:, 8:16, 4:20] = 255
    objects = np.zeros((40, 2, 5), np.float32)
    objects[:, 0], objects[:, 1, 4] = [4 / 32, 0.25, 20 / 32, 0.5, 1], NONE
    seed = tf.constant([3, 4])
    for kinds, least in (((), 0), (("flip",), 5)):
        changed, moved = task_for({}).training.augment(tf.constant(images), tf.constant(objects), kinds, seed)
        for pixels, (edges, padding) in zip(changed.numpy(), moved.numpy(), strict=True):
            columns = np.flatnonzero(pixels[10, :, 0])
            assert edges.tolist() == [columns[0] / 32, 0.25, (columns[-1] + 1) / 32, 0.5, 1]
            assert padding.tolist() == [0, 0, 0, 0, NONE]
        flipped = (changed.numpy() != images).any(axis=(1, 2, 3))
        assert least <= flipped.sum() <= 40 - least
    again, _ = task_for({}).training.augment(tf.constant(images), tf.constant(objects), ("flip",), seed)
    assert np.array_equal(again, changed)


# --- a network -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def network() -> Any:
    import keras

    keras.utils.set_random_seed(0)
    made = detector.build(SMALL, (32, 32, 3), 2)
    # A fresh network finds nothing: some doubt is taken from it.
    made.get_layer("logits").layers[-2].bias.assign([-1.0, 0.0])
    return made


def test_a_network_learns_where_a_bright_block_lies() -> None:
    import keras

    random = np.random.default_rng(0)
    images, objects = np.zeros((256, 32, 32, 1), np.uint8), np.full((256, 1, 5), 0, np.float32)
    for image, one in zip(images, objects, strict=True):
        left, top = random.integers(0, 16, 2)
        image[top : top + 16, left : left + 16] = 255
        one[0, :4] = np.array([left, top, left + 16, top + 16]) / 32
    keras.utils.set_random_seed(1)
    made = detector.build(SMALL, (32, 32, 1), 1)
    made.compile(keras.optimizers.Adam(0.02), **task_for({}).training.compile_arguments(made))
    made.fit(images, objects, batch_size=16, epochs=12, verbose=0)
    found = boxes.decode(made.predict(images, verbose=0))
    shared = boxes.iou(found["boxes"][:, :1], objects[..., :4])[:, 0, 0]
    assert np.median(shared) > 0.6


def test_a_saved_model_says_what_evaluation_finds(network: Any) -> None:
    import tensorflow as tf

    pixels = np.random.default_rng(1).integers(0, 256, (5, 32, 32, 3), np.uint8)
    signature, answer = task_for(INFO).serving.signature(network, {})
    served = tf.function(answer, input_signature=[signature], autograph=False)(tf.constant(pixels))
    found = task_for(INFO, task.Settings()).evaluation.predict(
        Predictor(traced(network), network), {"image": pixels}, {}
    )
    assert (found["labels"] != NONE).sum() > 5
    assert np.array_equal(served["labels"], found["labels"])
    np.testing.assert_allclose(served["boxes"], found["boxes"], atol=1e-5)
    np.testing.assert_allclose(served["scores"], found["scores"], atol=1e-5)
    assert np.array_equal(found["sure"], found["scores"] >= 0.4)


@pytest.mark.parametrize(
    ("info", "told"),
    [
        (INFO, ""),
        ({**INFO, "image_shape": [32, 64, 3]}, "takes inputs of 32 x 32 x 3, the data have 32 x 64 x 3"),
        ({**INFO, "classes": ["cat"]}, "has 6 outputs a location, the data need 5: 4 edges and a logit a class"),
    ],
    ids=["fits", "shape", "classes"],
)
def test_a_network_of_other_data_is_refused(network: Any, info: dict[str, Any], told: str) -> None:
    assert task_for(info).evaluation.problem(network) == told


def test_a_classifier_is_no_detector() -> None:
    from components.models import cnn

    made = cnn.build(cnn.Settings(filters=(2,)), (32, 32, 3), 6)
    assert task_for(INFO).evaluation.problem(made) == "has no layer PriorBoxes, which says where its boxes are"


# --- what people see -------------------------------------------------------------------------------------------------


def judged() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Answers and truth of three pictures: right, wrong, and empty."""
    truth = {
        "boxes": np.zeros((3, 2, 4), np.float32),
        "labels": np.array([[0, NONE], [1, 0], [NONE, NONE]]),
        "count": np.array([1, 2, 0]),
        "height": np.array([100, 100, 100]),
        "width": np.array([200, 200, 200]),
        "key": np.array([b"a", b"b", b"c"]),
    }
    truth["boxes"][0, 0], truth["boxes"][1] = [0, 0, 0.1, 0.1], [[0.5, 0.5, 1, 1], [0, 0, 0.3, 0.3]]
    found = {
        "boxes": np.zeros((3, 4, 4), np.float32),
        "scores": np.zeros((3, 4), np.float32),
        "labels": np.full((3, 4), NONE),
    }
    found["boxes"][0, 0], found["boxes"][1, :2] = [0, 0, 0.1, 0.1], [[0.5, 0.5, 1, 1], [0, 0, 0.2, 0.9]]
    found["scores"][0, 0], found["scores"][1, :2] = 0.9, [0.8, 0.3]
    found["labels"][0, 0], found["labels"][1, :2] = 0, [0, 1]
    return found | {"sure": found["scores"] >= 0.4}, truth


def test_pictures_are_judged_one_by_one_and_by_slice() -> None:
    found, truth = judged()
    assert task_for({}, task.Settings()).evaluation.example_metric(found, truth).tolist() == [1, 0, 1]
    slices = {name: mask.tolist() for name, mask in task_for(INFO, task.Settings()).evaluation.slices(truth).items()}
    assert slices == {
        "no object": [False, False, True],
        "1 object": [True, False, False],
        "2 or 3 objects": [False, True, False],
        "with a small object": [True, False, False],
        "with a medium object": [False, True, False],
        "with cat": [True, True, False],
        "with dog": [False, True, False],
    }
    notable = task_for({}, task.Settings()).evaluation.worst_examples(found, truth)
    assert (notable[evaluation.WORST] > 0).tolist() == [False, True, False]
    assert (notable[evaluation.BEST] > 0).tolist() == [True, False, False]


def test_only_boxes_that_are_sure_enough_are_told_and_drawn() -> None:
    found, _ = judged()
    said = task_for(INFO, task.Settings()).evaluation.predictions(found)
    assert said[1] == {"objects": [{"label": "cat", "score": 0.8, "box": [0.5, 0.5, 1.0, 1.0]}]}
    assert task_for({}).serving.row(said[1]) == {
        "objects": "1",
        "label, score and box": "cat 0.80 (0.50, 0.50, 1.00, 1.00)",
    }
    assert task_for({}).serving.row(said[2]) == {
        "objects": "0",
        "label, score and box": "none is sure enough",
    }
    content = np.zeros((32, 32, 3), np.uint8)
    pictures = [np.asarray(Image.open(io.BytesIO(task_for(INFO).serving.render(content, one)))) for one in said]
    assert {picture.shape for picture in pictures} == {(384, 384, 3)}
    assert pictures[1][192:].any() and not pictures[1][:170].any() and not pictures[2].any()


def test_the_report_shows_metrics_by_class_and_pictures() -> None:
    found, truth = judged()
    settings = task.Settings()
    scores = task_for(INFO, settings).evaluation.score(found, truth)
    assert {"map", "map50", "map_small", "ar"} <= set(scores) and scores["f1"] == pytest.approx(2 / 3)
    intervals = task_for({}, settings).evaluation.confidence_intervals(found, truth, scores)
    shown = {evaluation.WORST: [(1, np.zeros((32, 32, 3), np.uint8))], evaluation.BEST: []}
    page = "".join(task_for(INFO, settings).report.figures(found, truth, intervals, shown))
    assert "0 right, 1 wrong, 2 missed" in page and "Average precision by class" in page and evaluation.BEST not in page


def test_a_name_from_outside_is_text_in_the_report() -> None:
    found, truth = judged()
    info = {**INFO, "classes": ["<script>", "dog"]}
    intervals = task_for({}, task.Settings(resamples=100)).evaluation.confidence_intervals(found, truth, {})
    assert "<script>" not in "".join(task_for(info, task.Settings()).report.figures(found, truth, intervals, {}))


@pytest.mark.skipif(not fashion_mnist.FOLDER.is_dir(), reason="needs Debian's dataset-fashion-mnist")
def test_the_same_scenes_prepared_twice_are_the_same_data(tmp_path: Path) -> None:
    settings = composed_scenes.Settings(train_scenes=40, test_scenes=10)
    found = []
    for name in ("one", "two"):
        examples, report = Place(str(tmp_path / name / "examples")), Place(str(tmp_path / name / "report"))
        prepare(settings.parameters(), str(tmp_path / name / "store"), "", examples, report)
        found.append(PreparedData.read(examples.path))
    assert found[0].fingerprint == found[1].fingerprint
    assert found[0].splits["test"] == 10 and sum(found[0].splits.values()) == 50
