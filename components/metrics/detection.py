"""Metrics of detectors: COCO's by pycocotools, their bootstrap intervals, and the outcome of each image.

``detections`` has ``boxes`` [n, k, 4], ``scores`` and ``labels`` [n, k] and ``sure`` [n, k] (bool: confident enough to
be shown), best first; ``truth`` has ``boxes`` [n, m, 4], ``labels`` [n, m], and the images' ``height`` and ``width``
[n] in pixels. Boxes are left, top, right, bottom as fractions of the sides; a label of NONE is padding.
"""

import contextlib
import io
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from components.metrics import bootstrap, confidence
from components.vision.boxes import MAX_DETECTIONS, NONE, iou, to_corner_and_size

Arrays = dict[str, np.ndarray]
# The intersection over union of a match, for metrics at one threshold (PASCAL VOC, COCO's AP50).
MATCH_IOU = 0.5
# COCO's object sizes, by area in square pixels (cocodataset.org/#detection-eval).
SIZES = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 1e5**2)}
# Matches to weigh in all bootstrap resamples together; about 4 seconds.
MAX_WEIGHED_MATCHES = 2e8
MIN_RESAMPLES = 100


@dataclass(frozen=True)
class ClassMatches:
    """The detections of one class, best first: score and image of each, [k]; whether it matches an object at each of
    COCO's ten IoU thresholds, bool [10, k]; and the number of objects in each image, [n]."""

    scores: np.ndarray
    images: np.ndarray
    correct: np.ndarray
    objects: np.ndarray


@dataclass(frozen=True)
class Predictions:
    """Detections with the ground truth."""

    detections: Arrays
    truth: Arrays
    classes: int

    @cached_property
    def evaluation(self) -> Any:
        """COCOeval's result."""
        from pycocotools import coco, cocoeval

        # pycocotools logs by print.
        with contextlib.redirect_stdout(io.StringIO()):
            truth, detections = coco.COCO(), coco.COCO()
            for side, arrays in ((truth, self.truth), (detections, self.detections)):
                side.dataset = self._dataset(arrays)
                side.createIndex()
            run = cocoeval.COCOeval(truth, detections, "bbox")
            run.params.maxDets = [1, 10, MAX_DETECTIONS]
            run.evaluate()
            run.accumulate()
        return run

    def _dataset(self, arrays: Arrays) -> dict[str, Any]:
        """Boxes in COCO's format: in pixels, with ids from 1, since COCOeval uses 0 for no match."""
        images, columns = np.nonzero(arrays["labels"] != NONE)
        sides = np.stack([self.truth["width"], self.truth["height"]] * 2, axis=1).astype(np.float64)
        pixels = to_corner_and_size(arrays["boxes"][images, columns] * sides[images])
        fields = {
            "id": range(1, len(pixels) + 1),
            "image_id": images.tolist(),
            "category_id": arrays["labels"][images, columns].tolist(),
            "bbox": pixels.tolist(),
            "area": (pixels[:, 2] * pixels[:, 3]).tolist(),
            "iscrowd": [0] * len(pixels),
        }
        if "scores" in arrays:
            fields["score"] = arrays["scores"][images, columns].tolist()
        return {
            "images": [{"id": number} for number in range(len(arrays["labels"]))],
            "categories": [{"id": number} for number in range(self.classes)],
            "annotations": [dict(zip(fields, row, strict=True)) for row in zip(*fields.values(), strict=True)],
        }

    @cached_property
    def by_class(self) -> list[ClassMatches]:
        """The matches of each class that has objects or detections."""
        run = self.evaluation
        n, areas = len(self.truth["labels"]), len(run.params.areaRng)
        matches = []
        for label in range(self.classes):
            start = label * areas * n  # the first of the areas is "all"
            parts = [(image, part) for image, part in enumerate(run.evalImgs[start : start + n]) if part]
            if not parts:
                continue
            objects = np.zeros(n)
            for image, part in parts:
                objects[image] = len(part["gtIds"])
            scores = np.concatenate([part["dtScores"] for _, part in parts])
            order = np.argsort(-scores, kind="mergesort")
            images = np.repeat([image for image, _ in parts], [len(part["dtScores"]) for _, part in parts])
            correct = np.concatenate([part["dtMatches"] for _, part in parts], axis=1) > 0
            matches.append(ClassMatches(scores[order], images[order], correct[:, order], objects))
        return matches

    @cached_property
    def outcome(self) -> "Outcome":
        return outcome(self.detections, self.truth)


def scores(predictions: Predictions) -> dict[str, float]:
    """``map`` (mean over classes and IoU thresholds of 0.50 to 0.95), ``map50``, ``map75``, ``ar`` (mean recall over
    the same thresholds, at most MAX_DETECTIONS an image), each also by object size if there are such objects; and
    ``f1`` (mean over images), ``precision`` and ``recall`` of the detections that are shown."""
    precision, recall = predictions.evaluation.eval["precision"], predictions.evaluation.eval["recall"]
    result = {
        "map": _mean(precision[..., 0, -1]),
        "map50": _mean(precision[0, ..., 0, -1]),
        "map75": _mean(precision[5, ..., 0, -1]),
        "ar": _mean(recall[..., 0, -1]),
    }
    for number, size in enumerate(SIZES, 1):
        result |= {f"map_{size}": _mean(precision[..., number, -1]), f"ar_{size}": _mean(recall[..., number, -1])}
    shown = predictions.outcome
    right, wrong, missed = (float(part.sum()) for part in (shown.right, shown.wrong, shown.missed))
    result |= {
        "f1": float(shown.f1.mean()),
        "precision": right / (right + wrong) if right + wrong else float("nan"),
        "recall": right / (right + missed) if right + missed else float("nan"),
    }
    return {name: value for name, value in result.items() if np.isfinite(value)}


def _mean(values: np.ndarray) -> float:
    """The mean of the defined values; COCOeval marks the others by -1."""
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else float("nan")


def class_scores(predictions: Predictions) -> dict[int, tuple[int, float, float]]:
    """Class -> objects, average precision, and average precision at an IoU of 0.5, for classes with objects."""
    precision = predictions.evaluation.eval["precision"]
    counts = np.bincount(
        predictions.truth["labels"][predictions.truth["labels"] != NONE], minlength=predictions.classes
    )
    return {
        int(label): (int(counts[label]), _mean(precision[:, :, label, 0, -1]), _mean(precision[0, :, label, 0, -1]))
        for label in np.flatnonzero(counts)
    }


@dataclass(frozen=True)
class DetectionIntervals(bootstrap.Intervals):
    """95% intervals of the metrics, the number of resamples, and the predictions with their matches."""

    resamples: int
    predictions: Predictions = field(compare=False, repr=False)


def confidence_intervals(
    predictions: Predictions, resamples: int, seed: int, groups: np.ndarray | None = None
) -> DetectionIntervals:
    """Intervals of f1, and of map, map50 and ar by a bootstrap of images; many matches mean fewer resamples.

    Args:
        groups: numbers of groups whose images are not independent, [n].
    """
    matches = sum(one.correct.size for one in predictions.by_class)
    count = int(min(resamples, max(MIN_RESAMPLES, MAX_WEIGHED_MATCHES / max(matches, 1))))
    f1, values = predictions.outcome.f1, scores(predictions)
    drawn = [
        weighted_scores(predictions.by_class, row)
        for counts in bootstrap.resample_counts(len(f1), count, seed, groups)
        for row in counts
    ]
    size = len(f1) if groups is None else len(np.unique(groups))
    columns = zip(("map", "map50", "ar"), np.array(drawn).T, strict=True)
    result = {name: bootstrap.share(values[name], column, size) for name, column in columns if name in values}
    result["f1"] = confidence.mean(f1, bounded=True, groups=groups)
    return DetectionIntervals(result, count, predictions)


def weighted_scores(classes: list[ClassMatches], counts: np.ndarray) -> tuple[float, float, float]:
    """map, map50 and ar with each image counted so many times: what COCOeval gives for the repeated images, from the
    same matches by the steps of pycocotools' ``accumulate``."""
    thresholds = np.linspace(0, 1, 101)
    precisions, recalls = [], []
    for one in classes:
        objects = float(counts @ one.objects)
        if not objects:
            continue
        weights = counts[one.images].astype(np.float64)
        correct, total = np.cumsum(one.correct * weights, axis=1), np.cumsum(weights)
        if not total.size:
            precisions.append(np.zeros(one.correct.shape[0]))
            recalls.append(np.zeros(one.correct.shape[0]))
            continue
        precision = correct / np.maximum(total, np.spacing(1))
        # The best precision at this recall or any higher one.
        precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        recall = correct / objects
        ranks = np.stack([np.searchsorted(row, thresholds, side="left") for row in recall])
        interpolated = np.take_along_axis(precision, np.minimum(ranks, total.size - 1), axis=1) * (ranks < total.size)
        precisions.append(interpolated.mean(axis=1))
        recalls.append(recall[:, -1])
    if not precisions:
        return float("nan"), float("nan"), float("nan")
    table = np.array(precisions)
    return float(table.mean()), float(table[:, 0].mean()), float(np.mean(recalls))


@dataclass(frozen=True)
class Outcome:
    """The outcome of the detections that are shown, image by image.

    Attributes:
        is_right: whether a detection is shown and the best match of an object of its class, bool [n, k].
        is_missed: whether an object is matched by no detection, bool [n, m].
        sure: whether a detection is shown, bool [n, k].
    """

    is_right: np.ndarray
    is_missed: np.ndarray
    sure: np.ndarray

    @cached_property
    def right(self) -> np.ndarray:
        """Objects found, [n]."""
        result: np.ndarray = self.is_right.sum(axis=1)
        return result

    @cached_property
    def wrong(self) -> np.ndarray:
        """Detections shown that match no object, [n]."""
        result: np.ndarray = self.sure.sum(axis=1) - self.right
        return result

    @cached_property
    def missed(self) -> np.ndarray:
        """Objects not found, [n]."""
        result: np.ndarray = self.is_missed.sum(axis=1)
        return result

    @cached_property
    def f1(self) -> np.ndarray:
        """2 right / (2 right + wrong + missed), float64 [n]; 1 for an image without objects and detections."""
        total = 2 * self.right + self.wrong + self.missed
        result: np.ndarray = np.divide(2.0 * self.right, total, out=np.ones(len(total)), where=total > 0)
        return result


def outcome(detections: Arrays, truth: Arrays) -> Outcome:
    """Match the detections shown, best first, with objects of their class by an IoU of at least MATCH_IOU."""
    sure = detections["sure"] & (detections["labels"] != NONE)
    is_right = np.zeros(sure.shape, bool)
    is_missed = truth["labels"] != NONE
    for number in range(len(sure)):
        overlaps = iou(detections["boxes"][number].astype(np.float64), truth["boxes"][number].astype(np.float64))
        overlaps *= detections["labels"][number][:, None] == truth["labels"][number][None]
        for rank in np.flatnonzero(sure[number]).tolist():
            free = overlaps[rank] * is_missed[number]
            best = int(np.argmax(free))
            if free[best] >= MATCH_IOU:
                is_right[number, rank], is_missed[number, best] = True, False
    return Outcome(is_right, is_missed, sure)
