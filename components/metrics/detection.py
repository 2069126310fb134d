"""How good a detector is: COCO's metrics by pycocotools, their bootstrap intervals, and how each picture came out.

``found`` has ``boxes`` [n, k, 4], ``scores`` and ``labels`` [n, k] and ``sure`` [n, k] (bool: shown to people), best
first; ``truth`` has ``boxes`` [n, m, 4], ``labels`` [n, m], and the pictures' ``height`` and ``width`` [n] in pixels.
Boxes are left, top, right, bottom as fractions of the sides; a label of NONE is padding.
"""

import contextlib
import io
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from components.metrics import bootstrap
from components.vision.boxes import MOST_FOUND, NONE, overlaps, to_corner_and_size

Arrays = dict[str, np.ndarray]
# What two boxes must share to be taken for the same object, where one bound is asked for (PASCAL VOC, COCO's AP50).
SAME = 0.5
# COCO's names for sizes and the areas in square pixels that bound them (cocodataset.org/#detection-eval).
SIZES = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 1e5**2)}
# Matches weighed in all bootstrap resamples together; about 4 seconds.
MOST_WEIGHED = 2e8
LEAST_RESAMPLES = 100


@dataclass(frozen=True)
class Class:
    """What was found of one class, best first: the score and picture of each box, [k]; whether it is an object at each
    of COCO's ten overlaps, bool [10, k]; and how many objects each picture has, [n]."""

    scores: np.ndarray
    pictures: np.ndarray
    right: np.ndarray
    objects: np.ndarray


@dataclass(frozen=True)
class Judged:
    """A detector's answers with the truth."""

    found: Arrays
    truth: Arrays
    classes: int

    @cached_property
    def evaluation(self) -> Any:
        """COCOeval, run."""
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        # pycocotools tells what it does by print.
        with contextlib.redirect_stdout(io.StringIO()):
            truth, found = COCO(), COCO()
            for side, arrays in ((truth, self.truth), (found, self.found)):
                side.dataset = self._dataset(arrays)
                side.createIndex()
            run = COCOeval(truth, found, "bbox")
            run.params.maxDets = [1, 10, MOST_FOUND]
            run.evaluate()
            run.accumulate()
        return run

    def _dataset(self, arrays: Arrays) -> dict[str, Any]:
        """Boxes in COCO's format: in pixels, and numbered from 1, for 0 is COCOeval's word for no match."""
        pictures, places = np.nonzero(arrays["labels"] != NONE)
        sides = np.stack([self.truth["width"], self.truth["height"]] * 2, axis=1).astype(np.float64)
        pixels = to_corner_and_size(arrays["boxes"][pictures, places] * sides[pictures])
        columns = {
            "id": range(1, len(pixels) + 1),
            "image_id": pictures.tolist(),
            "category_id": arrays["labels"][pictures, places].tolist(),
            "bbox": pixels.tolist(),
            "area": (pixels[:, 2] * pixels[:, 3]).tolist(),
            "iscrowd": [0] * len(pixels),
        }
        if "scores" in arrays:
            columns["score"] = arrays["scores"][pictures, places].tolist()
        return {
            "images": [{"id": number} for number in range(len(arrays["labels"]))],
            "categories": [{"id": number} for number in range(self.classes)],
            "annotations": [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)],
        }

    @cached_property
    def by_class(self) -> list[Class]:
        """Every class that has objects or was found."""
        run = self.evaluation
        n, areas = len(self.truth["labels"]), len(run.params.areaRng)
        made = []
        for label in range(self.classes):
            start = label * areas * n  # the first of the areas is all
            parts = [(place, part) for place, part in enumerate(run.evalImgs[start : start + n]) if part]
            if not parts:
                continue
            objects = np.zeros(n)
            for place, part in parts:
                objects[place] = len(part["gtIds"])
            scores = np.concatenate([part["dtScores"] for _, part in parts])
            order = np.argsort(-scores, kind="mergesort")
            pictures = np.repeat([place for place, _ in parts], [len(part["dtScores"]) for _, part in parts])
            right = np.concatenate([part["dtMatches"] for _, part in parts], axis=1) > 0
            made.append(Class(scores[order], pictures[order], right[:, order], objects))
        return made

    @cached_property
    def outcome(self) -> "Outcome":
        """What the boxes shown to people come to."""
        return outcome(self.found, self.truth)


def scores(judged: Judged) -> dict[str, float]:
    """``map`` (mean over classes and overlaps of 0.50 to 0.95), ``map50``, ``map75``, ``ar`` (the share of objects
    found, at most MOST_FOUND a picture, over the same overlaps), each also by size where there are such objects; and
    ``f1`` (the mean over pictures), ``precision`` and ``recall`` of what is shown to people."""
    precision, recall = judged.evaluation.eval["precision"], judged.evaluation.eval["recall"]
    result = {
        "map": _mean(precision[..., 0, -1]),
        "map50": _mean(precision[0, ..., 0, -1]),
        "map75": _mean(precision[5, ..., 0, -1]),
        "ar": _mean(recall[..., 0, -1]),
    }
    for number, size in enumerate(SIZES, 1):
        result |= {f"map_{size}": _mean(precision[..., number, -1]), f"ar_{size}": _mean(recall[..., number, -1])}
    told = judged.outcome
    right, wrong, missed = (float(part.sum()) for part in (told.right, told.wrong, told.missed))
    result |= {
        "f1": float(told.f1.mean()),
        "precision": right / (right + wrong) if right + wrong else float("nan"),
        "recall": right / (right + missed) if right + missed else float("nan"),
    }
    return {name: value for name, value in result.items() if np.isfinite(value)}


def _mean(values: np.ndarray) -> float:
    """The mean of what is known; COCOeval marks the rest by -1."""
    known = values[values > -1]
    return float(known.mean()) if known.size else float("nan")


def class_scores(judged: Judged) -> dict[int, tuple[int, float, float]]:
    """Class -> objects, average precision, and that at an overlap of 0.5, of the classes with objects."""
    precision = judged.evaluation.eval["precision"]
    counts = np.bincount(judged.truth["labels"][judged.truth["labels"] != NONE], minlength=judged.classes)
    return {
        int(label): (int(counts[label]), _mean(precision[:, :, label, 0, -1]), _mean(precision[0, :, label, 0, -1]))
        for label in np.flatnonzero(counts)
    }


@dataclass(frozen=True)
class Resampled:
    """95% bootstrap intervals of the metrics, the resamples they come from, and what was judged, matches included."""

    metrics: dict[str, tuple[float, float]]
    resamples: int
    judged: Judged = field(compare=False, repr=False)


def resampled(judged: Judged, resamples: int, seed: int) -> Resampled:
    """Percentile bootstrap intervals over pictures of map, map50, ar and f1; fewer resamples where they take long."""
    found = sum(one.right.size for one in judged.by_class)
    count = int(min(resamples, max(LEAST_RESAMPLES, MOST_WEIGHED / max(found, 1))))
    f1, drawn = judged.outcome.f1, []
    for counts in bootstrap.counts(len(f1), count, seed):
        means = counts.astype(np.float64) @ f1 / len(f1)
        drawn += [(*weighted(judged.by_class, row), mean) for row, mean in zip(counts, means, strict=True)]
    columns = np.array(drawn).T
    names = ("map", "map50", "ar", "f1")
    intervals = {name: bootstrap.interval(column) for name, column in zip(names, columns, strict=True)}
    return Resampled(intervals, count, judged)


def weighted(classes: list[Class], counts: np.ndarray) -> tuple[float, float, float]:
    """map, map50 and ar where each picture is there so many times: what COCOeval would give for the repeated pictures
    (``accumulate`` of pycocotools, whose steps these are), from the same matches."""
    wanted = np.linspace(0, 1, 101)
    precisions, recalls = [], []
    for one in classes:
        objects = float(counts @ one.objects)
        if not objects:
            continue
        weights = counts[one.pictures].astype(np.float64)
        right, every = np.cumsum(one.right * weights, axis=1), np.cumsum(weights)
        if not every.size:
            precisions.append(np.zeros(one.right.shape[0]))
            recalls.append(np.zeros(one.right.shape[0]))
            continue
        precision = right / np.maximum(every, np.spacing(1))
        # The best precision at this recall or any higher one.
        precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        recall = right / objects
        places = np.stack([np.searchsorted(row, wanted, side="left") for row in recall])
        there = places < every.size
        reached = np.take_along_axis(precision, np.minimum(places, every.size - 1), axis=1) * there
        precisions.append(reached.mean(axis=1))
        recalls.append(recall[:, -1])
    if not precisions:
        return float("nan"), float("nan"), float("nan")
    table = np.array(precisions)
    return float(table.mean()), float(table[:, 0].mean()), float(np.mean(recalls))


@dataclass(frozen=True)
class Outcome:
    """What the boxes shown to people come to, picture by picture.

    Attributes:
        is_right: of each box found, whether it is shown and an object of its class that no better box is, [n, k].
        is_missed: of each object, whether no box shown is it, [n, m].
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
        """Boxes shown that are no object, [n]."""
        result: np.ndarray = self.sure.sum(axis=1) - self.right
        return result

    @cached_property
    def missed(self) -> np.ndarray:
        """Objects not found, [n]."""
        result: np.ndarray = self.is_missed.sum(axis=1)
        return result

    @cached_property
    def f1(self) -> np.ndarray:
        """2 right / (2 right + wrong + missed), float64 [n]; 1 where there is nothing and nothing was found."""
        every = 2 * self.right + self.wrong + self.missed
        result: np.ndarray = np.divide(2.0 * self.right, every, out=np.ones(len(every)), where=every > 0)
        return result


def outcome(found: Arrays, truth: Arrays) -> Outcome:
    """Match the boxes shown with objects of their class, the best first, where they share at least SAME."""
    sure = found["sure"] & (found["labels"] != NONE)
    is_right = np.zeros(sure.shape, bool)
    is_missed = truth["labels"] != NONE
    for number in range(len(sure)):
        shared = overlaps(found["boxes"][number].astype(np.float64), truth["boxes"][number].astype(np.float64))
        shared *= found["labels"][number][:, None] == truth["labels"][number][None]
        for place in np.flatnonzero(sure[number]).tolist():
            free = shared[place] * is_missed[number]
            best = int(np.argmax(free))
            if free[best] >= SAME:
                is_right[number, place], is_missed[number, best] = True, False
    return Outcome(is_right, is_missed, sure)
