"""Boxes: overlap, non-maximum suppression, and one post-processing whether NumPy or TensorFlow runs it."""

import numpy as np
import pytest

from components.vision import boxes
from components.vision.boxes import MAX_DETECTIONS, MAX_IOU, MIN_SCORE, NONE, UNITS


def corners(seed: int, *shape: int) -> np.ndarray:
    """Random boxes, left, top, right, bottom in 0..1."""
    random = np.random.default_rng(seed)
    low = random.uniform(0, 0.7, (*shape, 2))
    return np.concatenate([low, low + random.uniform(0.05, 0.3, (*shape, 2))], axis=-1).astype(np.float32)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([0, 0, 2, 2], [0, 0, 2, 2], 1),
        ([0, 0, 2, 2], [1, 1, 3, 3], 1 / 7),
        ([0, 0, 2, 2], [2, 0, 4, 2], 0),
        ([0, 0, 1, 1], [3, 3, 4, 4], 0),
        ([1, 1, 1, 1], [1, 1, 1, 1], 0),
    ],
    ids=["same", "a corner", "an edge", "apart", "without area"],
)
def test_overlap_is_intersection_over_union(one: list[float], other: list[float], expected: float) -> None:
    found = boxes.iou(np.array([one], float), np.array([other], float))
    assert found == pytest.approx(np.array([[expected]]))


def test_coco_writes_a_corner_and_a_size() -> None:
    coco = np.array([[10.0, 20, 30, 40]])
    assert boxes.from_corner_and_size(coco).tolist() == [[10, 20, 40, 60]]
    assert np.array_equal(boxes.to_corner_and_size(boxes.from_corner_and_size(coco)), coco)


@pytest.mark.parametrize("seed", range(5))
def test_a_box_stays_unless_a_better_one_that_stays_overlaps_it_too_much(seed: int) -> None:
    found, scores = corners(seed, 60), np.random.default_rng(seed).permutation(60) / 60
    stay = boxes.non_maximum_suppression(found, scores)
    assert np.all(np.diff(scores[stay]) < 0)
    shared = boxes.iou(found, found)
    for place in range(60):
        better = [other for other in stay if scores[other] > scores[place]]
        assert (place in stay) == all(shared[place, other] <= MAX_IOU for other in better)


def outputs(seed: int, n: int = 3, locations: int = 300, classes: int = 4, usual: float = -2.0) -> np.ndarray:
    """A detector's outputs: boxes in few places, so that many overlap, and logits."""
    random = np.random.default_rng(seed)
    places = corners(seed, n, 12)[:, random.integers(0, 12, locations)] + random.normal(0, 0.02, (n, locations, 4))
    logits = random.normal(usual, 2, (n, locations, classes))
    return np.concatenate([places * UNITS, logits], axis=-1).astype(np.float32)


@pytest.mark.parametrize("usual", [-2.0, -9.0, 3.0], ids=["some", "next to nothing", "more than are kept"])
def test_the_graph_finds_what_numpy_finds(usual: float) -> None:
    import tensorflow as tf

    given = outputs(7, usual=usual)
    ours = boxes.decode(given)
    graph = tf.function(boxes.decode_in_graph)(tf.constant(given))
    assert np.array_equal(graph["labels"].numpy(), ours["labels"])
    np.testing.assert_allclose(graph["scores"].numpy(), ours["scores"], atol=1e-6)
    np.testing.assert_allclose(graph["boxes"].numpy(), ours["boxes"], atol=1e-6)
    assert {name: array.shape[1] for name, array in ours.items()} == dict.fromkeys(ours, MAX_DETECTIONS)


def test_what_is_found_is_decoded_sorted_and_padded() -> None:
    given = np.full((1, 3, 4 + 2), -20, np.float32)
    given[0, 0, :4] = [4, 4, 12, 12]
    given[0, 1, :4] = [4, 4, 12, 11]
    given[0, 2, :4] = [-3, 0, 5, 40]
    given[0, 0, 4], given[0, 1, 4], given[0, 1, 5], given[0, 2, 4] = 2, 3, 0, 1
    found = boxes.decode(given)
    # The first overlaps the second of its class; the second is found as both classes; the third is cut to the picture.
    assert found["labels"][0, :4].tolist() == [0, 0, 1, NONE]
    np.testing.assert_allclose(found["scores"][0, :3], 1 / (1 + np.exp([-3.0, -1, 0])), rtol=1e-6)
    np.testing.assert_allclose(found["boxes"][0, :2], [[0.25, 0.25, 0.75, 11 / 16], [0, 0, 5 / 16, 1]])
    assert not found["boxes"][0, 3:].any() and not found["scores"][0, 3:].any()


def test_a_picture_in_which_nothing_scores_has_nothing() -> None:
    given = outputs(1, n=2)
    given[1, :, 4:] = np.log(MIN_SCORE / (1 - MIN_SCORE)) - 1e-3
    found = boxes.decode(given)
    assert (found["labels"][0] != NONE).any() and (found["labels"][1] == NONE).all()
