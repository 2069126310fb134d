"""COCO's metrics, their resampling, and how each picture came out."""

import numpy as np
import pytest

from components.metrics import detection
from components.metrics.detection import Arrays, Predictions
from components.vision.boxes import MAX_DETECTIONS, NONE

CLASSES, N, MOST = 3, 40, 5


def truth(seed: int = 0) -> Arrays:
    """Pictures of 0 to MOST objects of all sizes; 400 x 300 pixels."""
    random = np.random.default_rng(seed)
    low = random.uniform(0, 0.6, (N, MOST, 2))
    found = np.concatenate([low, low + random.uniform(0.02, 0.4, (N, MOST, 2))], axis=-1).astype(np.float32)
    counts = random.integers(0, MOST + 1, N)
    labels = np.where(np.arange(MOST) < counts[:, None], random.integers(0, CLASSES, (N, MOST)), NONE)
    return {
        "boxes": np.where(labels[..., None] != NONE, found, 0),
        "labels": labels,
        "count": counts,
        "height": np.full(N, 300),
        "width": np.full(N, 400),
    }


def answers(objects: Arrays, seed: int = 1, shift: float = 0.03, wrong: float = 0.3) -> Arrays:
    """Each object found, moved a little, some with another label; best first as a detector gives them."""
    random = np.random.default_rng(seed)
    there = objects["labels"] != NONE
    others = random.integers(0, CLASSES, there.shape)
    labels = np.where(random.random(there.shape) < wrong, others, objects["labels"])
    found = {
        "boxes": np.zeros((N, MAX_DETECTIONS, 4), np.float32),
        "scores": np.zeros((N, MAX_DETECTIONS), np.float32),
        "labels": np.full((N, MAX_DETECTIONS), NONE, np.int64),
    }
    moved = objects["boxes"] + random.normal(0, shift, objects["boxes"].shape)
    moved = np.concatenate([np.minimum(moved[..., :2], moved[..., 2:]), np.maximum(moved[..., :2], moved[..., 2:])], -1)
    scores = np.where(there, random.uniform(0.06, 1, there.shape), 0)
    order = np.argsort(-scores, axis=1)
    found["boxes"][:, :MOST] = np.take_along_axis(np.where(there[..., None], moved, 0), order[..., None], 1)
    found["scores"][:, :MOST] = np.take_along_axis(scores, order, 1)
    found["labels"][:, :MOST] = np.take_along_axis(np.where(there, labels, NONE), order, 1)
    return found | {"sure": found["scores"] >= 0.4}


def repeated(arrays: Arrays, counts: np.ndarray) -> Arrays:
    return {name: np.repeat(values, counts, axis=0) for name, values in arrays.items()}


def test_a_perfect_detector_scores_1_at_every_size_without_a_word(capfd: pytest.CaptureFixture[str]) -> None:
    objects = truth()
    found = answers(objects, shift=0, wrong=0) | {"sure": np.ones((N, MAX_DETECTIONS), bool)}
    scores = detection.scores(Predictions(found, objects, CLASSES))
    assert scores == pytest.approx(dict.fromkeys(scores, 1.0))
    assert {"map", "map50", "map_small", "map_medium", "map_large", "ar_large", "f1", "precision"} <= set(scores)
    assert capfd.readouterr().out == ""


def test_a_size_without_objects_has_no_metric() -> None:
    objects = truth()
    objects["boxes"] /= 20
    scores = detection.scores(Predictions(answers(objects), objects, CLASSES))
    assert "map_small" in scores and "map_large" not in scores


def test_nothing_found_scores_0_and_pictures_without_objects_are_right() -> None:
    objects = truth()
    found = answers(objects)
    found["labels"][:], found["sure"][:] = NONE, False
    predictions = Predictions(found, objects, CLASSES)
    scores = detection.scores(predictions)
    assert (scores["map"], scores["ar"], scores["recall"]) == (0, 0, 0)
    assert scores["f1"] == pytest.approx((objects["count"] == 0).mean())
    low, high = detection.confidence_intervals(predictions, 100, 0).metrics["map"]
    assert low == 0 < high < 0.1


@pytest.mark.parametrize("seed", range(3))
def test_weighed_pictures_score_as_if_they_were_repeated(seed: int) -> None:
    objects = truth(seed)
    found = answers(objects, seed)
    predictions = Predictions(found, objects, CLASSES)
    counts = np.random.default_rng(seed).multinomial(N, np.full(N, 1 / N))
    again = detection.scores(Predictions(repeated(found, counts), repeated(objects, counts), CLASSES))
    expected = [again[name] for name in ("map", "map50", "ar")]
    assert detection.weighted_scores(predictions.by_class, counts) == pytest.approx(expected)
    plain = detection.scores(predictions)
    expected = [plain[name] for name in ("map", "map50", "ar")]
    assert detection.weighted_scores(predictions.by_class, np.ones(N)) == pytest.approx(expected)


def test_an_interval_holds_the_metric_and_the_same_seed_gives_it_again() -> None:
    objects = truth()
    predictions = Predictions(answers(objects), objects, CLASSES)
    scores, found = detection.scores(predictions), detection.confidence_intervals(predictions, 200, 3)
    for name, (low, high) in found.metrics.items():
        assert low < scores[name] < high
    assert detection.confidence_intervals(predictions, 200, 3) == found


def test_the_best_box_of_the_class_that_overlaps_by_half_is_right() -> None:
    objects = {"boxes": np.zeros((1, 3, 4)), "labels": np.array([[0, 1, NONE]])}
    objects["boxes"][0, :2] = [[0, 0, 0.4, 0.4], [0.5, 0.5, 0.9, 0.9]]
    found = {
        "boxes": np.array([[[0, 0, 0.4, 0.35], [0, 0, 0.4, 0.4], [0.5, 0.5, 0.9, 0.9], [0.5, 0.5, 0.9, 0.9]]]),
        "labels": np.array([[0, 0, 0, 1]]),
        "scores": np.array([[0.9, 0.8, 0.7, 0.1]]),
    }
    told = detection.outcome(found | {"sure": found["scores"] > 0.4}, objects)
    # Again the same object, another class, and too weak to be shown.
    assert told.is_right.tolist() == [[True, False, False, False]]
    assert told.is_missed.tolist() == [[False, True, False]]
    assert (told.right, told.wrong, told.missed) == (1, 2, 1)
    assert told.f1.tolist() == [2 / 5]
