"""Boxes: formats, overlap, and from a detector's outputs to what it found, in NumPy and in TensorFlow alike.

A box is left, top, right, bottom, as fractions of the picture's width and height, unless it is said otherwise.
"""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

# A detector's outputs are [n, locations, 4 + classes]: a box's edges, and a logit for each class. Edges are counted in
# sixteenths of the picture's side, so that they spread as logits do: a runtime of 8-bit integers has one scale for the
# whole tensor.
UNITS = 16.0
# The post-processing. What scores less is nothing; of two boxes of a class that overlap more, the better one stays; so
# many are kept, which is what COCO's metrics count (cocodataset.org/#detection-eval).
LEAST_SCORE = 0.05
MOST_OVERLAP = 0.5
MOST_FOUND = 100
# A label that says there is no box: arrays of boxes are padded with it.
NONE = -1


def areas(boxes: np.ndarray) -> np.ndarray:
    """Areas, [...], of boxes [..., 4]; none is negative."""
    result: np.ndarray = np.maximum(boxes[..., 2] - boxes[..., 0], 0) * np.maximum(boxes[..., 3] - boxes[..., 1], 0)
    return result


def overlaps(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Intersection over union of every pair, [..., n, m], of boxes [..., n, 4] and [..., m, 4]; 0 of empty ones."""
    first, second = one[..., :, None, :], other[..., None, :, :]
    low, high = np.maximum(first[..., :2], second[..., :2]), np.minimum(first[..., 2:], second[..., 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=-1)
    union = areas(first) + areas(second) - shared
    result: np.ndarray = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return result


def from_corner_and_size(boxes: np.ndarray) -> np.ndarray:
    """COCO's boxes, left, top, width, height, as left, top, right, bottom; [..., 4]."""
    return np.concatenate([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], axis=-1)


def to_corner_and_size(boxes: np.ndarray) -> np.ndarray:
    """Left, top, right, bottom as COCO's left, top, width, height; [..., 4]."""
    return np.concatenate([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], axis=-1)


def kept(boxes: np.ndarray, scores: np.ndarray, most_overlap: float = MOST_OVERLAP) -> np.ndarray:
    """Non-maximum suppression of one class: the numbers of the boxes that stay, best first.

    Args:
        boxes: [n, 4].
        scores: [n].
    """
    waiting, stay = np.argsort(-scores, kind="stable"), []
    while waiting.size:
        best, waiting = waiting[0], waiting[1:]
        stay.append(best)
        waiting = waiting[overlaps(boxes[None, best], boxes[waiting])[0] <= most_overlap]
    return np.array(stay, np.int64)


def found(outputs: np.ndarray) -> dict[str, np.ndarray]:
    """What a detector found, best first: its outputs decoded, without weak scores and repeated boxes of a class.

    Args:
        outputs: [n, locations, 4 + classes].

    Returns:
        ``boxes`` float32 [n, MOST_FOUND, 4], ``scores`` float32 and ``labels`` int64 [n, MOST_FOUND]; behind the last
        one boxes and scores are 0 and labels NONE.
    """
    result: dict[str, np.ndarray] = {
        "boxes": np.zeros((len(outputs), MOST_FOUND, 4), np.float32),
        "scores": np.zeros((len(outputs), MOST_FOUND), np.float32),
        "labels": np.full((len(outputs), MOST_FOUND), NONE, np.int64),
    }
    boxes = np.clip(outputs[..., :4] / np.float32(UNITS), 0, 1).astype(np.float32)
    chances = _sigmoid(outputs[..., 4:])
    for number in range(len(outputs)):
        places, scores, labels = _one(boxes[number], chances[number])
        result["boxes"][number, : len(places)] = boxes[number, places]
        result["scores"][number, : len(places)] = scores
        result["labels"][number, : len(places)] = labels
    return result


def _one(boxes: np.ndarray, chances: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers, scores and labels of the boxes of one picture that stay, best first."""
    places, labels = np.nonzero(chances > LEAST_SCORE)
    scores = chances[places, labels]
    stay = [np.empty(0, np.int64)]
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        stay.append(own[kept(boxes[places[own]], scores[own])][:MOST_FOUND])
    every = np.concatenate(stay)
    every = every[np.argsort(-scores[every], kind="stable")][:MOST_FOUND]
    return places[every], scores[every], labels[every]


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        chances: np.ndarray = 1 / (1 + np.exp(-logits.astype(np.float32)))
    return chances


def found_in_graph(outputs: "tf.Tensor") -> "dict[str, tf.Tensor]":
    """``found`` in TensorFlow's graph, for an exported model's signature; ``labels`` are int64 there, too."""
    import tensorflow as tf

    boxes = tf.clip_by_value(outputs[..., :4] / UNITS, 0.0, 1.0)
    best = tf.image.combined_non_max_suppression(
        boxes[:, :, None],
        tf.sigmoid(outputs[..., 4:]),
        max_output_size_per_class=MOST_FOUND,
        max_total_size=MOST_FOUND,
        iou_threshold=MOST_OVERLAP,
        score_threshold=LEAST_SCORE,
        clip_boxes=False,
    )
    there = tf.range(MOST_FOUND)[None] < best.valid_detections[:, None]
    labels = tf.where(there, tf.cast(best.nmsed_classes, tf.int64), NONE)
    return {"boxes": best.nmsed_boxes, "scores": best.nmsed_scores, "labels": labels}
