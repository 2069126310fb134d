"""The loss of a detector: assignment of objects to locations, then classes and boxes, on any Keras backend.

Task-aligned learning (Feng et al., 2021, TOOD, arXiv:2108.07755): an object is assigned to the few locations near it
that already predict it best, class and box together, and the target of a location's score is the overlap of its box. It
depends only on a network's locations, so it works with and without anchors.
"""

from typing import Any

import keras
from keras import ops

from components.layers.prior_boxes import PriorBoxes
from components.vision.boxes import NONE, UNITS

# An object's locations, and the exponents of score and overlap in the alignment metric (TOOD, 4.1: 13, 1, 6).
MAX_LOCATIONS, SCORE_POWER, OVERLAP_POWER = 13, 1.0, 6.0
# The weight of the box loss relative to the class loss (TOOD's configuration).
BOX_WEIGHT = 2.0
# The focal loss's exponent (Lin et al., 2017, arXiv:1708.02002; TOOD's equation 6).
GAMMA = 2.0
EPSILON = 1e-9


@keras.saving.register_keras_serializable("suanli")
class DetectionLoss(keras.losses.Loss):
    """Loss between objects [n, objects, 5] (edges as fractions of the image, then the label, NONE for padding) and a
    detector's outputs [n, locations, 4 + classes]."""

    def __init__(self, locations: dict[str, Any], name: str = "detection", **kwargs: Any) -> None:
        """``locations`` are the arguments of the detector's layer ``PriorBoxes``."""
        super().__init__(name=name, **{"dtype": "float32", **kwargs})
        self.locations = locations
        layer = PriorBoxes(**locations)
        # Pixels to UNITS.
        scale = (UNITS / layer.width, UNITS / layer.height)
        self._centres = layer.priors()[:, :2] * scale
        self._reach = layer.strides()[:, None] * scale / 2

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each image, [n]."""
        boxes, labels = y_true[..., :4] * UNITS, y_true[..., 4]
        predicted, logits = y_pred[..., :4], y_pred[..., 4:]
        real = ops.cast(labels > NONE, "float32")
        scores, weights, assigned = self._assign(boxes, labels, real, predicted, logits)
        total = ops.maximum(ops.sum(weights), 1.0)
        class_loss = ops.sum(_quality_focal(scores, logits), axis=(1, 2))
        targets = ops.einsum("nol,noc->nlc", assigned, boxes)
        box_loss = ops.sum((1.0 - giou(predicted, targets)) * weights, axis=1)
        # Keras takes the mean over images, TOOD the sum over all of them divided by the sum of the weights.
        return (class_loss + BOX_WEIGHT * box_loss) * ops.cast(ops.shape(labels)[0], "float32") / total

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "locations": self.locations}

    def _assign(self, boxes: Any, labels: Any, real: Any, predicted: Any, logits: Any) -> tuple[Any, Any, Any]:
        """Target scores, [n, locations, classes]; weights of the locations' boxes, [n, locations]; and the assignment
        of objects to locations, 0 or 1 [n, objects, locations]."""
        predicted, logits = ops.stop_gradient(predicted), ops.stop_gradient(logits)
        overlap = iou(boxes[:, :, None], predicted[:, None])
        own = ops.one_hot(ops.cast(ops.maximum(labels, 0), "int32"), logits.shape[-1], dtype="float32")
        score = ops.einsum("noc,nlc->nol", own, ops.sigmoid(logits))
        near = self._near(boxes) * real[..., None]
        alignment = score**SCORE_POWER * overlap**OVERLAP_POWER * near
        # The best few of each object, without those of no alignment at all.
        least = ops.top_k(alignment, min(MAX_LOCATIONS, alignment.shape[-1]))[0][..., -1:]
        assigned = ops.cast((alignment >= least) & (alignment > 0), "float32")
        # A location of several objects is assigned to the one with the largest overlap.
        best = ops.one_hot(ops.argmax(overlap * assigned, axis=1), alignment.shape[1], axis=1, dtype="float32")
        assigned *= best
        alignment *= assigned
        # The target of an object's best location is its overlap, of the others in proportion (TOOD, 3.2.2).
        highest = ops.max(alignment, axis=-1, keepdims=True)
        best_overlap = ops.max(overlap * assigned, axis=-1, keepdims=True)
        quality = alignment / (highest + EPSILON) * best_overlap
        return ops.einsum("nol,noc->nlc", quality, own), ops.sum(quality, axis=1), assigned

    def _near(self, boxes: Any) -> Any:
        """Whether a location is in an object's box, or within half a stride of the centre of a smaller box, as 0 or 1
        [n, objects, locations]."""
        centre = (boxes[..., :2] + boxes[..., 2:])[:, :, None] / 2
        half = (boxes[..., 2:] - boxes[..., :2])[:, :, None] / 2
        distance = ops.abs(ops.cast(self._centres, "float32") - centre)
        return ops.cast(ops.all(distance <= ops.maximum(half, ops.cast(self._reach, "float32")), axis=-1), "float32")


def _quality_focal(targets: Any, logits: Any) -> Any:
    """The focal loss for continuous targets: cross-entropy times |target - score| ** GAMMA (TOOD, equation 6; Li et
    al., 2020, arXiv:2006.04388), of the shape of both."""
    entropy = ops.maximum(logits, 0) - logits * targets + ops.log1p(ops.exp(-ops.abs(logits)))
    return ops.abs(targets - ops.sigmoid(logits)) ** GAMMA * entropy


def iou(one: Any, other: Any) -> Any:
    """Intersection over union of boxes [..., 4], element by element."""
    intersection, union = _intersection_and_union(one, other)
    return intersection / ops.maximum(union, EPSILON)


def giou(one: Any, other: Any) -> Any:
    """Generalized intersection over union (Rezatofighi et al., 2019, arXiv:1902.09630)."""
    intersection, union = _intersection_and_union(one, other)
    low, high = ops.minimum(one[..., :2], other[..., :2]), ops.maximum(one[..., 2:], other[..., 2:])
    hull = ops.maximum(ops.prod(high - low, axis=-1), EPSILON)
    return intersection / ops.maximum(union, EPSILON) - (hull - union) / hull


def _intersection_and_union(one: Any, other: Any) -> tuple[Any, Any]:
    low, high = ops.maximum(one[..., :2], other[..., :2]), ops.minimum(one[..., 2:], other[..., 2:])
    intersection = ops.prod(ops.maximum(high - low, 0.0), axis=-1)
    areas = [ops.prod(ops.maximum(box[..., 2:] - box[..., :2], 0.0), axis=-1) for box in (one, other)]
    return intersection, areas[0] + areas[1] - intersection
