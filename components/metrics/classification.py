"""Metrics of classifiers with one label per example, in time and memory linear in the number of classes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from components.metrics import bootstrap, confidence
from components.metrics.bounded_mean import grouped

CALIBRATION_BINS = 15
# Logits that are converted to float64 at a time: 16 MB.
MAX_CELLS = 2_000_000
# More best labels than this are found by sorting.
MAX_PASSES = 16


@dataclass(frozen=True)
class Predictions:
    """Logits with the true labels.

    Attributes:
        logits: float [n, classes].
        labels: the true labels, integers [n].
        top_k: the number of best labels that may include the true one, for ``top_k``.
    """

    logits: np.ndarray
    labels: np.ndarray
    top_k: int

    @property
    def classes(self) -> int:
        return int(self.logits.shape[1])

    @cached_property
    def predicted(self) -> np.ndarray:
        """The label with the largest logit, integers [n]; ties go to the lower label."""
        result: np.ndarray = self.logits.argmax(axis=1)
        return result

    @property
    def correct(self) -> np.ndarray:
        """Whether the predicted label is the true one, bool [n]."""
        result: np.ndarray = self.predicted == self.labels
        return result

    @cached_property
    def totals(self) -> np.ndarray:
        """The logarithm of the sum of each example's exponentials, float64 [n]."""
        return log_sums(self.logits)

    @property
    def confidence(self) -> np.ndarray:
        """The probability of the predicted label, float64 [n]."""
        return self.probability(self.predicted)

    def probability(self, labels: np.ndarray | int) -> np.ndarray:
        """The probability of one label, or of a label for each example, float64 [n]."""
        result: np.ndarray = np.exp(self.logits[np.arange(len(self.logits)), labels].astype(np.float64) - self.totals)
        return result

    @cached_property
    def roc(self) -> tuple[float, np.ndarray] | None:
        return _roc(self)

    def values(self) -> dict[str, np.ndarray]:
        """Per-example values of the metrics that are means over examples: metric -> float64 [n]."""
        own = self.logits[np.arange(len(self.logits)), self.labels]
        # Ties go to the lower label, as in ``top_labels``.
        before = np.empty(len(own), np.int64)
        for part in blocks(self.logits):
            rows, value, label = self.logits[part], own[part, None], self.labels[part, None]
            before[part] = ((rows > value) | ((rows == value) & (np.arange(self.classes) < label))).sum(axis=1)
        return {
            "accuracy": self.correct.astype(np.float64),
            "top_k": (before < self.top_k).astype(np.float64),
            "loss": self.totals - own.astype(np.float64),
        }


def blocks(rows: np.ndarray) -> Iterator[slice]:
    """Slices of the rows, [n, classes], of at most MAX_CELLS cells each."""
    size = max(1, MAX_CELLS // rows.shape[1])
    for start in range(0, len(rows), size):
        yield slice(start, start + size)


def log_sums(logits: np.ndarray) -> np.ndarray:
    """log(sum(exp(logits))) over the last axis, float64 [n]."""
    result = np.empty(len(logits))
    for part in blocks(logits):
        top = logits[part].max(axis=1).astype(np.float64)
        result[part] = np.log(np.exp(logits[part] - top[:, None]).sum(axis=1)) + top
    return result


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last axis, float64."""
    wide = logits.astype(np.float64)
    exponentials = np.exp(wide - wide.max(axis=-1, keepdims=True))
    result: np.ndarray = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return result


def top_labels(logits: np.ndarray, count: int) -> np.ndarray:
    """The labels of the ``count`` largest logits, best first, integers [n, count]; ties go to the lower label."""
    if count > MAX_PASSES:
        result: np.ndarray = np.argsort(-logits, axis=1, kind="stable")[:, :count]
        return result
    best = np.empty((len(logits), count), np.int64)
    for part in blocks(logits):
        left = logits[part].copy()
        rows = np.arange(len(left))
        for rank in range(count):
            best[part, rank] = left.argmax(axis=1)
            left[rows, best[part, rank]] = -np.inf
    return best


def scores(predictions: Predictions) -> dict[str, float]:
    """Means over examples, averages over classes, ROC AUC and calibration error.

    Averages are over the classes that have examples. The ROC AUC is one-vs-rest, macro-averaged, and absent if no class
    has both examples and counterexamples.
    """
    from sklearn import metrics

    result = {name: float(values.mean()) for name, values in predictions.values().items()}
    present = np.unique(predictions.labels)
    for average in ("macro", "weighted"):
        parts = metrics.precision_recall_fscore_support(
            predictions.labels, predictions.predicted, labels=present, average=average, zero_division=0
        )
        result |= {f"{average}_{name}": float(v) for name, v in zip(("precision", "recall", "f1"), parts, strict=False)}
    if roc := predictions.roc:
        result["roc_auc"] = roc[0]
    result["calibration_error"] = _calibration_error(predictions)
    return result


def confusion(predictions: Predictions, names: Sequence[str], limit: int) -> tuple[np.ndarray, list[str]]:
    """The confusion matrix: examples of each class (row) by predicted label (column), integers, and the names of its
    rows; of more than ``limit`` classes those with most errors, then all others together."""
    labels, predicted, shown = predictions.labels, predictions.predicted, list(names)
    if len(names) > limit:
        wrong = labels != predicted
        errors = sum(np.bincount(column[wrong], minlength=len(names)) for column in (labels, predicted))
        own = np.sort(np.argsort(-np.asarray(errors), kind="stable")[: limit - 1])
        group = np.full(len(names), limit - 1)
        group[own] = np.arange(limit - 1)
        labels, predicted = group[labels], group[predicted]
        shown = [*(names[index] for index in own), f"{len(names) - limit + 1} others"]
    cells = np.bincount(labels * len(shown) + predicted, minlength=len(shown) ** 2)
    return cells.reshape(len(shown), len(shown)), shown


def mistaken_for(predictions: Predictions) -> dict[int, tuple[int, int]]:
    """Class -> the wrong label that its examples get most often, and how often; without classes that have no errors."""
    wrong = predictions.labels != predictions.predicted
    cells = predictions.labels[wrong] * predictions.classes + predictions.predicted[wrong]
    mistakes, counts = np.unique(cells, return_counts=True)
    order = np.lexsort((-mistakes, counts))  # the last one of a class stays: most often, then the lower label
    return {
        int(cell // predictions.classes): (int(cell % predictions.classes), int(count))
        for cell, count in zip(mistakes[order], counts[order], strict=True)
    }


@dataclass(frozen=True)
class ByClass:
    """Precision, recall and F1 of one class, with their 95% intervals and its number of examples."""

    label: int
    examples: int
    precision: float
    recall: float
    f1: float
    intervals: dict[str, tuple[float, float]]


def per_class(predictions: Predictions, intervals: "ClassifierIntervals") -> list[ByClass]:
    """Precision, recall and F1 of each class that has examples."""
    from sklearn import metrics

    present = np.unique(predictions.labels)
    parts = metrics.precision_recall_fscore_support(
        predictions.labels, predictions.predicted, labels=present, zero_division=0
    )
    columns = zip(present, *parts, strict=True)
    return [
        ByClass(int(label), int(support), float(precision), float(recall), float(f1), intervals.classes[int(label)])
        for label, precision, recall, f1, support in columns
    ]


@dataclass(frozen=True)
class Reliability:
    """The non-empty bins of a reliability diagram: mean confidence, accuracy, and number of examples."""

    confidence: np.ndarray
    accuracy: np.ndarray
    examples: np.ndarray


def reliability(predictions: Predictions) -> Reliability:
    """Accuracy by confidence, in 15 bins of equal width."""
    confidence = predictions.confidence
    bins = _bins(confidence)
    sizes = np.bincount(bins, minlength=CALIBRATION_BINS)
    filled = sizes > 0
    sums = [np.bincount(bins, values, CALIBRATION_BINS)[filled] for values in (confidence, predictions.correct)]
    return Reliability(sums[0] / sizes[filled], sums[1] / sizes[filled], sizes[filled])


def _bins(confidence: np.ndarray) -> np.ndarray:
    return np.minimum((confidence * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)


def _calibration_error(predictions: Predictions) -> float:
    """The expected calibration error: the sum over bins of |correct - confidence, summed over its examples| / n (M.
    Naeini et al., AAAI 2015; C. Guo et al., ICML 2017, arXiv:1706.04599, whose 15 bins these are).

    It has no interval: it is above the true one by about as much as an interval would be wide.
    """
    confidence = predictions.confidence
    gaps = np.bincount(_bins(confidence), predictions.correct - confidence)
    return float(np.abs(gaps).sum() / len(confidence))


def _roc(predictions: Predictions) -> tuple[float, np.ndarray] | None:
    """The AUC, one-vs-rest and averaged over the classes with examples, and each example's centred influence on it,
    float64 [n]; None if no class has both examples and counterexamples.

    The influences are the placements of E. DeLong, D. DeLong and D. Clarke-Pearson, Biometrics 44 (1988) 837-845, by
    ranks (X. Sun and W. Xu, IEEE Signal Processing Letters 21 (2014) 1389-1393).
    """
    present, sizes = np.unique(predictions.labels, return_counts=True)
    n = len(predictions.labels)
    if len(present) < 2:
        return None
    total, areas = np.zeros(n), np.empty(len(present))
    order = np.argsort(predictions.labels, kind="stable")
    ends = np.cumsum(sizes)
    for number, (label, size, end) in enumerate(zip(present.tolist(), sizes.tolist(), ends.tolist(), strict=True)):
        members = order[end - size : end]
        column = predictions.probability(label)
        own, everyone = np.sort(column[members]), np.sort(column)
        # The share of counterexamples below each example, and of examples above each counterexample; ties are half.
        below = (_ranks(everyone, column[members]) - _ranks(own, column[members])) / (n - size)
        above = 1 - _ranks(own, column) / size
        areas[number] = below.mean()
        placement = (above - areas[number]) / (n - size)
        placement[members] = (below - areas[number]) / size
        total += placement
    return float(areas.mean()), total / len(present)


def _ranks(ordered: np.ndarray, values: np.ndarray) -> np.ndarray:
    """How many of the ordered values are below each value; equal ones count half."""
    sides = [np.searchsorted(ordered, values, side) for side in ("left", "right")]
    result: np.ndarray = (sides[0] + sides[1]) / 2
    return result


@dataclass(frozen=True)
class ClassifierIntervals(bootstrap.Intervals):
    """95% intervals of the metrics, and of precision, recall and F1 of each class that has examples."""

    classes: dict[int, dict[str, tuple[float, float]]]


def confidence_intervals(
    predictions: Predictions, values: dict[str, float], groups: np.ndarray | None = None
) -> ClassifierIntervals:
    """Intervals that hold near 1 (``components.metrics.confidence``): of the means over examples, of the averages over
    classes, and of each class.

    Args:
        values: of ``scores``.
        groups: numbers of groups whose examples are not independent, [n].
    """
    result = {
        name: confidence.mean(column, bounded=name != "loss", groups=groups)
        for name, column in predictions.values().items()
    }
    counts = _Counts.count(predictions)
    sizes = counts.examples[counts.present]
    # Right-or-wrong examples that would tell an average over classes as well as these do.
    effective = len(sizes) ** 2 / float((1 / sizes).sum())
    influences = counts.influences(predictions)
    if predictions.roc:
        influences["roc_auc"] = predictions.roc[1]
    for name, influence in influences.items():
        by_group, _ = grouped(influence, groups)
        result[name] = confidence.share(values[name], float((by_group**2).sum()), min(effective, len(by_group)))
    return ClassifierIntervals(result, _class_intervals(predictions, counts, groups))


@dataclass(frozen=True)
class _Counts:
    """Right answers, examples and answers of each class, integers [classes]; ``present`` are those with examples."""

    right: np.ndarray
    examples: np.ndarray
    answers: np.ndarray
    present: np.ndarray

    @classmethod
    def count(cls, predictions: Predictions) -> "_Counts":
        labels, predicted = predictions.labels, predictions.predicted
        columns = (labels[labels == predicted], labels, predicted)
        right, examples, answers = (np.bincount(column, minlength=predictions.classes) for column in columns)
        return cls(right, examples, answers, np.flatnonzero(examples))

    def influences(self, predictions: Predictions) -> dict[str, np.ndarray]:
        """Average over classes -> each example's influence on it, float64 [n]."""
        labels, predicted, right = predictions.labels, predictions.predicted, predictions.correct
        examples, answers = np.maximum(self.examples, 1), np.maximum(self.answers, 1)
        # A label that no example has does not count in the averages.
        counted = (self.examples > 0)[predicted] / len(self.present)
        recall, precision = self.right / examples, self.right / answers
        both = np.maximum(self.examples + self.answers, 1)
        f1 = 2 * self.right / both
        return {
            "macro_precision": counted * (right - precision[predicted]) / answers[predicted],
            "macro_recall": (right - recall[labels]) / examples[labels] / len(self.present),
            "macro_f1": (right - f1[labels]) / both[labels] / len(self.present)
            + counted * (right - f1[predicted]) / both[predicted],
        }


def _class_intervals(
    predictions: Predictions, counts: _Counts, groups: np.ndarray | None
) -> dict[int, dict[str, tuple[float, float]]]:
    """Each is a share of counted examples: recall of the class's own, precision of those that got its label, and F1 a
    function of the share of right ones among both (F1 = 2 share / (1 + share))."""

    def share(label: int, among: np.ndarray, total: int) -> tuple[float, float]:
        if groups is None:
            return confidence.proportion(int(counts.right[label]), total) if total else (0.0, 1.0)
        right = (predictions.correct & among)[among].astype(np.float64)
        return confidence.ratio(right, np.ones(len(right)), bounded=True, groups=groups[among]) if total else (0.0, 1.0)

    result = {}
    for label in counts.present.tolist():
        own, given = predictions.labels == label, predictions.predicted == label
        either = int(counts.examples[label] + counts.answers[label] - counts.right[label])
        low, high = share(label, own | given, either)
        result[label] = {
            "precision": share(label, given, int(counts.answers[label])),
            "recall": share(label, own, int(counts.examples[label])),
            "f1": (2 * low / (1 + low), 2 * high / (1 + high)),
        }
    return result


def roc_points(predictions: Predictions, points: int = 100) -> tuple[list[float], list[float], list[float]]:
    """False positive rates, true positive rates and thresholds, each [points + 1], thresholds falling from 1 to 0.

    The micro average: every pair of an example and a class counts once, so classes without examples do not matter.
    """
    own, every = np.zeros(points, np.int64), np.zeros(points, np.int64)
    for part in blocks(predictions.logits):
        shares = np.exp(predictions.logits[part] - predictions.totals[part, None])
        every += np.histogram(shares, points, (0, 1))[0]
        own += np.histogram(shares[np.arange(len(shares)), predictions.labels[part]], points, (0, 1))[0]
    # A pair is positive at a threshold if its probability is at least the threshold.
    above = [counts[::-1].cumsum() for counts in (own, every - own)]
    true, false = (np.concatenate([[0], part]) / max(1, part[-1]) for part in above)
    return false.tolist(), true.tolist(), np.linspace(0, 1, points + 1)[::-1].tolist()
