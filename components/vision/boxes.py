"""Boxes: formats, intersection over union, and the post-processing of a detector's outputs in NumPy and TensorFlow.

A box is left, top, right, bottom, as fractions of the image's width and height, unless stated otherwise.
"""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

# A detector's outputs are [n, locations, 4 + classes]: the edges of a box, and a logit for each class. Edges are in
# sixteenths of the image's side, a range like that of logits: an 8-bit integer runtime has one scale for the tensor.
UNITS = 16.0
# The post-processing: the lowest score, the intersection over union above which the worse of two boxes of a class is
# dropped, and the number of boxes, which is the one of COCO's metrics (cocodataset.org/#detection-eval).
MIN_SCORE = 0.05
MAX_IOU = 0.5
MAX_DETECTIONS = 100
# The label of padding in arrays of boxes.
NONE = -1


def areas(boxes: np.ndarray) -> np.ndarray:
    """Areas, [...], of boxes [..., 4], never negative."""
    result: np.ndarray = np.maximum(boxes[..., 2] - boxes[..., 0], 0) * np.maximum(boxes[..., 3] - boxes[..., 1], 0)
    return result


def iou(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Intersection over union of each pair, [..., n, m], of boxes [..., n, 4] and [..., m, 4]; 0 for empty boxes."""
    first, second = one[..., :, None, :], other[..., None, :, :]
    low, high = np.maximum(first[..., :2], second[..., :2]), np.minimum(first[..., 2:], second[..., 2:])
    intersection = np.prod(np.maximum(high - low, 0), axis=-1)
    union = areas(first) + areas(second) - intersection
    result: np.ndarray = np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)
    return result


def from_corner_and_size(boxes: np.ndarray) -> np.ndarray:
    """COCO's boxes, left, top, width, height, as left, top, right, bottom; [..., 4]."""
    return np.concatenate([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], axis=-1)


def to_corner_and_size(boxes: np.ndarray) -> np.ndarray:
    """Left, top, right, bottom as COCO's left, top, width, height; [..., 4]."""
    return np.concatenate([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], axis=-1)


def turned(boxes: np.ndarray, orientation: int) -> np.ndarray:
    """Boxes [..., 4] of an image as it is stored, where they lie when it is turned as EXIF's ``orientation`` says."""
    left, top, right, bottom = np.moveaxis(boxes, -1, 0)
    edges = {
        2: (1 - right, top, 1 - left, bottom),
        3: (1 - right, 1 - bottom, 1 - left, 1 - top),
        4: (left, 1 - bottom, right, 1 - top),
        5: (top, left, bottom, right),
        6: (1 - bottom, left, 1 - top, right),
        7: (1 - bottom, 1 - right, 1 - top, 1 - left),
        8: (top, 1 - right, bottom, 1 - left),
    }.get(orientation, (left, top, right, bottom))
    return np.stack(edges, axis=-1)


def non_maximum_suppression(boxes: np.ndarray, scores: np.ndarray, max_iou: float = MAX_IOU) -> np.ndarray:
    """Indices of the boxes of one class that remain, best first.

    Args:
        boxes: [n, 4].
        scores: [n].
    """
    candidates, remaining = np.argsort(-scores, kind="stable"), []
    while candidates.size:
        best, candidates = candidates[0], candidates[1:]
        remaining.append(best)
        candidates = candidates[iou(boxes[None, best], boxes[candidates])[0] <= max_iou]
    return np.array(remaining, np.int64)


def decode(outputs: np.ndarray) -> dict[str, np.ndarray]:
    """The detections of each image, best first, without low scores and after non-maximum suppression by class.

    Args:
        outputs: [n, locations, 4 + classes].

    Returns:
        ``boxes`` float32 [n, MAX_DETECTIONS, 4], ``scores`` float32 and ``labels`` int64 [n, MAX_DETECTIONS]; padded
        with boxes and scores of 0 and labels of NONE.
    """
    result: dict[str, np.ndarray] = {
        "boxes": np.zeros((len(outputs), MAX_DETECTIONS, 4), np.float32),
        "scores": np.zeros((len(outputs), MAX_DETECTIONS), np.float32),
        "labels": np.full((len(outputs), MAX_DETECTIONS), NONE, np.int64),
    }
    boxes = np.clip(outputs[..., :4] / np.float32(UNITS), 0, 1).astype(np.float32)
    with np.errstate(over="ignore"):
        all_scores = 1 / (1 + np.exp(-outputs[..., 4:].astype(np.float32)))
    for number in range(len(outputs)):
        locations, scores, labels = _decode_image(boxes[number], all_scores[number])
        result["boxes"][number, : len(locations)] = boxes[number, locations]
        result["scores"][number, : len(locations)] = scores
        result["labels"][number, : len(locations)] = labels
    return result


def _decode_image(boxes: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Locations, scores and labels of one image's detections, best first."""
    locations, labels = np.nonzero(scores > MIN_SCORE)
    scores = scores[locations, labels]
    remaining = [np.empty(0, np.int64)]
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        remaining.append(own[non_maximum_suppression(boxes[locations[own]], scores[own])][:MAX_DETECTIONS])
    best = np.concatenate(remaining)
    best = best[np.argsort(-scores[best], kind="stable")][:MAX_DETECTIONS]
    return locations[best], scores[best], labels[best]


def decode_in_graph(outputs: "tf.Tensor") -> "dict[str, tf.Tensor]":
    """``decode`` in TensorFlow's graph, for an exported model's signature."""
    import tensorflow as tf

    boxes = tf.clip_by_value(outputs[..., :4] / UNITS, 0.0, 1.0)
    best = tf.image.combined_non_max_suppression(
        boxes[:, :, None],
        tf.sigmoid(outputs[..., 4:]),
        max_output_size_per_class=MAX_DETECTIONS,
        max_total_size=MAX_DETECTIONS,
        iou_threshold=MAX_IOU,
        score_threshold=MIN_SCORE,
        clip_boxes=False,
    )
    valid = tf.range(MAX_DETECTIONS)[None] < best.valid_detections[:, None]
    labels = tf.where(valid, tf.cast(best.nmsed_classes, tf.int64), NONE)
    return {"boxes": best.nmsed_boxes, "scores": best.nmsed_scores, "labels": labels}
