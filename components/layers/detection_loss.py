"""The loss of a detector: which locations answer for which object, then classes and boxes, in any of Keras's backends.

Task-aligned learning (Feng et al., 2021, TOOD, arXiv:2108.07755): an object is given to the few locations about it
that already find it best, class and box together, and a location's score shall tell how well its box fits. It needs
nothing of a network but where its locations lie, so it serves anchor-free ones and those with anchors alike.
"""

from typing import Any

import keras
from keras import ops

from components.layers.prior_boxes import PriorBoxes
from components.vision.boxes import NONE, UNITS

# An object's locations, and the exponents of score and overlap in how well a location finds it (TOOD, 4.1: 13, 1, 6).
MOST_LOCATIONS, SCORE_POWER, OVERLAP_POWER = 13, 1.0, 6.0
# The weight of the boxes' loss beside the classes' (TOOD's configuration).
BOXES = 2.0
# The focal loss's exponent (Lin et al., 2017, arXiv:1708.02002; TOOD's equation 6).
FOCUS = 2.0
SMALL = 1e-9


@keras.saving.register_keras_serializable("suanli")
class DetectionLoss(keras.losses.Loss):
    """Loss between objects [n, objects, 5] (edges as fractions of the picture, label; NONE where there is none) and a
    detector's outputs [n, locations, 4 + classes]."""

    def __init__(self, locations: dict[str, Any], name: str = "detection", **kwargs: Any) -> None:
        """``locations`` are the arguments of the detector's layer ``PriorBoxes``."""
        super().__init__(name=name, **{"dtype": "float32", **kwargs})
        self.locations = locations
        layer = PriorBoxes(**locations)
        # UNITS of the picture's sides in a pixel.
        scale = (UNITS / layer.width, UNITS / layer.height)
        self._middles = layer.priors()[:, :2] * scale
        self._reach = layer.strides()[:, None] * scale / 2

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each picture, [n]."""
        boxes, labels = y_true[..., :4] * UNITS, y_true[..., 4]
        found, logits = y_pred[..., :4], y_pred[..., 4:]
        known = ops.cast(labels > NONE, "float32")
        wanted, share, assigned = self._assigned(boxes, labels, known, found, logits)
        total = ops.maximum(ops.sum(share), 1.0)
        classes = ops.sum(_quality_focal(wanted, logits), axis=(1, 2))
        targets = ops.einsum("nol,noc->nlc", assigned, boxes)
        misfit = ops.sum((1.0 - generalized_overlap(found, targets)) * share, axis=1)
        # Keras takes the mean over pictures; the sum over all of them is meant, divided by all objects' shares.
        return (classes + BOXES * misfit) * ops.cast(ops.shape(labels)[0], "float32") / total

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "locations": self.locations}

    def _assigned(self, boxes: Any, labels: Any, known: Any, found: Any, logits: Any) -> tuple[Any, Any, Any]:
        """Which score each class shall have, [n, locations, classes]; how much each location's box counts, [n,
        locations]; and whose it is, 0 or 1 [n, objects, locations]."""
        found, logits = ops.stop_gradient(found), ops.stop_gradient(logits)
        overlap = plain_overlap(boxes[:, :, None], found[:, None])
        own = ops.one_hot(ops.cast(ops.maximum(labels, 0), "int32"), logits.shape[-1], dtype="float32")
        score = ops.einsum("noc,nlc->nol", own, ops.sigmoid(logits))
        near = self._near(boxes) * known[..., None]
        fit = score**SCORE_POWER * overlap**OVERLAP_POWER * near
        # The best few of each object; a location without any fit is nobody's.
        least = ops.top_k(fit, min(MOST_LOCATIONS, fit.shape[-1]))[0][..., -1:]
        taken = ops.cast((fit >= least) & (fit > 0), "float32")
        # A location that several want goes to the one whose box it fits best.
        best = ops.one_hot(ops.argmax(overlap * taken, axis=1), fit.shape[1], axis=1, dtype="float32")
        taken *= best
        fit *= taken
        # The best location of an object shall score its overlap, the others in proportion (TOOD, 3.2.2).
        highest = ops.max(fit, axis=-1, keepdims=True)
        reached = ops.max(overlap * taken, axis=-1, keepdims=True)
        quality = fit / (highest + SMALL) * reached
        return ops.einsum("nol,noc->nlc", quality, own), ops.sum(quality, axis=1), taken

    def _near(self, boxes: Any) -> Any:
        """Whether a location lies in an object's box, or less than half a stride beside the middle of a smaller one;
        [n, objects, locations]."""
        middle = (boxes[..., :2] + boxes[..., 2:])[:, :, None] / 2
        half = (boxes[..., 2:] - boxes[..., :2])[:, :, None] / 2
        away = ops.abs(ops.cast(self._middles, "float32") - middle)
        return ops.cast(ops.all(away <= ops.maximum(half, ops.cast(self._reach, "float32")), axis=-1), "float32")


def _quality_focal(wanted: Any, logits: Any) -> Any:
    """Cross-entropy with scores to be reached, less where they nearly are: |wanted - score| ** FOCUS times it (TOOD,
    equation 6; Li et al., 2020, arXiv:2006.04388); of the shape of both."""
    entropy = ops.maximum(logits, 0) - logits * wanted + ops.log1p(ops.exp(-ops.abs(logits)))
    return ops.abs(wanted - ops.sigmoid(logits)) ** FOCUS * entropy


def plain_overlap(one: Any, other: Any) -> Any:
    """Intersection over union of boxes [..., 4], element by element."""
    shared, union = _shared(one, other)
    return shared / ops.maximum(union, SMALL)


def generalized_overlap(one: Any, other: Any) -> Any:
    """The same less the empty part of the box around both (GIoU; Rezatofighi et al., 2019, arXiv:1902.09630)."""
    shared, union = _shared(one, other)
    low, high = ops.minimum(one[..., :2], other[..., :2]), ops.maximum(one[..., 2:], other[..., 2:])
    around = ops.maximum(ops.prod(high - low, axis=-1), SMALL)
    return shared / ops.maximum(union, SMALL) - (around - union) / around


def _shared(one: Any, other: Any) -> tuple[Any, Any]:
    """Areas of intersection and union."""
    low, high = ops.maximum(one[..., :2], other[..., :2]), ops.minimum(one[..., 2:], other[..., 2:])
    shared = ops.prod(ops.maximum(high - low, 0.0), axis=-1)
    areas = [ops.prod(ops.maximum(box[..., 2:] - box[..., :2], 0.0), axis=-1) for box in (one, other)]
    return shared, areas[0] + areas[1] - shared
