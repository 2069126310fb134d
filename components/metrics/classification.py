"""Metrics of classifiers with one label per example."""

from dataclasses import dataclass

import numpy as np

from components.metrics import bootstrap

CALIBRATION_BINS = 15
# With more outputs the interval of the ROC AUC would take longer than all other metrics; it is left out.
MAX_ROC_CELLS = 5_000_000


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

    @property
    def predicted(self) -> np.ndarray:
        """The label with the largest logit, integers [n]; ties go to the lower label."""
        result: np.ndarray = self.logits.argmax(axis=1)
        return result

    @property
    def correct(self) -> np.ndarray:
        """Whether the predicted label is the true one, bool [n]."""
        result: np.ndarray = self.predicted == self.labels
        return result

    def values(self) -> dict[str, np.ndarray]:
        """Per-example values of the metrics that are means over examples: metric -> float64 [n]."""
        shifted = _shifted(self.logits)
        own = np.take_along_axis(shifted, self.labels[:, None], axis=1)
        loss = np.log(np.exp(shifted).sum(axis=1)) - own[:, 0]
        # Ties go to the lower label, as in ``top_labels``.
        before = (shifted > own) | ((shifted == own) & (np.arange(self.classes) < self.labels[:, None]))
        return {
            "accuracy": self.correct.astype(np.float64),
            "top_k": (before.sum(axis=1) < self.top_k).astype(np.float64),
            "loss": loss,
        }


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last axis, float64."""
    exponentials = np.exp(_shifted(logits))
    result: np.ndarray = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return result


def _shifted(logits: np.ndarray) -> np.ndarray:
    wide = logits.astype(np.float64)
    result: np.ndarray = wide - wide.max(axis=-1, keepdims=True)
    return result


def top_labels(logits: np.ndarray, count: int) -> np.ndarray:
    """The labels of the ``count`` largest logits, best first, integers [n, count]."""
    result: np.ndarray = np.argsort(-logits, axis=1, kind="stable")[:, :count]
    return result


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
    if len(present) > 1:
        truth = predictions.labels[:, None] == present
        result["roc_auc"] = float(metrics.roc_auc_score(truth, probabilities(predictions.logits)[:, present]))
    result["calibration_error"] = float(
        np.abs(_calibration_gaps(predictions).sum(axis=0)).sum() / len(predictions.labels)
    )
    return result


def confusion(predictions: Predictions) -> np.ndarray:
    """The confusion matrix: examples of each class (row) by predicted label (column), integers [classes, classes]."""
    cells = predictions.labels * predictions.classes + predictions.predicted
    return np.bincount(cells, minlength=predictions.classes**2).reshape(predictions.classes, predictions.classes)


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
    confidence = probabilities(predictions.logits).max(axis=1)
    bins = _bins(confidence)
    sizes = np.bincount(bins, minlength=CALIBRATION_BINS)
    filled = sizes > 0
    sums = [np.bincount(bins, values, CALIBRATION_BINS)[filled] for values in (confidence, predictions.correct)]
    return Reliability(sums[0] / sizes[filled], sums[1] / sizes[filled], sizes[filled])


def _bins(confidence: np.ndarray) -> np.ndarray:
    return np.minimum((confidence * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)


def _calibration_gaps(predictions: Predictions) -> np.ndarray:
    """Correctness (1 or 0) minus confidence of each example, in the column of its bin, float64 [n, bins].

    The expected calibration error is the sum over bins of |column's sum| / n (M. Naeini et al., AAAI 2015; C. Guo et
    al., ICML 2017, arXiv:1706.04599, whose 15 bins these are).
    """
    confidence = probabilities(predictions.logits).max(axis=1)
    bins = _bins(confidence)
    gaps = np.zeros((len(bins), CALIBRATION_BINS))
    gaps[np.arange(len(bins)), bins] = predictions.correct - confidence
    return gaps


def _roc_influence(predictions: Predictions) -> np.ndarray | None:
    """Each example's centred influence on the macro-averaged AUC, float64 [n]; None if undefined or too costly.

    These are the placements of E. DeLong, D. DeLong and D. Clarke-Pearson, Biometrics 44 (1988) 837-845, by ranks (X.
    Sun and W. Xu, IEEE Signal Processing Letters 21 (2014) 1389-1393). Resampling them instead of the AUC itself leaves
    out terms of order 1/n and saves a sort for each resample.
    """
    from scipy.stats import rankdata

    present = np.unique(predictions.labels)
    n = len(predictions.labels)
    if len(present) < 2 or predictions.logits.size > MAX_ROC_CELLS:
        return None
    shares, total = probabilities(predictions.logits), np.zeros(n)
    for label in present:
        own, among_all = predictions.labels == label, rankdata(shares[:, label])
        below = among_all[own] - rankdata(shares[own, label])  # counterexamples below each example
        above = own.sum() - (among_all[~own] - rankdata(shares[~own, label]))  # examples above each counterexample
        for part, others, mask in ((below, (~own).sum(), own), (above, own.sum(), ~own)):
            placement = part / others
            total[mask] += (placement - placement.mean()) * n / mask.sum()
    result: np.ndarray = total / len(present)
    return result


@dataclass(frozen=True)
class ClassifierIntervals(bootstrap.Intervals):
    """95% bootstrap intervals of the metrics, and of precision, recall and F1 of each class that has examples."""

    classes: dict[int, dict[str, tuple[float, float]]]


def confidence_intervals(
    predictions: Predictions, values: dict[str, float], resamples: int, seed: int
) -> ClassifierIntervals:
    """Percentile bootstrap intervals, all from the same resamples of examples.

    Args:
        values: of ``scores``.
    """
    # Sorted by cell of the confusion matrix, so that the count of a cell is one sum over neighbours.
    cells = predictions.labels * predictions.classes + predictions.predicted
    order = np.argsort(cells, kind="stable")
    names, starts = np.unique(cells[order], return_index=True)
    means = predictions.values()
    influence = _roc_influence(predictions)
    ranks = [] if influence is None else [influence]
    columns = np.column_stack([*means.values(), *ranks, _calibration_gaps(predictions)])[order].astype(np.float32)

    sums, tables = [], []
    for counts in bootstrap.resample_counts(len(cells), resamples, seed):
        sums.append(counts @ columns)
        tables.append(np.add.reduceat(counts, starts, axis=1))
    drawn = np.concatenate(sums).astype(np.float64) / len(cells)
    by_class = _class_rates(
        np.concatenate(tables), names // predictions.classes, names % predictions.classes, predictions.labels
    )

    resampled = {name: drawn[:, index] for index, name in enumerate(means)}
    if influence is not None:
        resampled["roc_auc"] = np.minimum(1.0, values["roc_auc"] + drawn[:, len(means)])
    resampled["calibration_error"] = np.abs(drawn[:, -CALIBRATION_BINS:]).sum(axis=1)
    with np.errstate(invalid="ignore"):
        resampled |= {f"macro_{name}": _row_means(rates) for name, rates in by_class.items()}
    present = np.unique(predictions.labels)
    return ClassifierIntervals(
        {name: bootstrap.interval(column) for name, column in resampled.items()},
        {
            int(label): {name: bootstrap.interval(rates[:, index]) for name, rates in by_class.items()}
            for index, label in enumerate(present)
        },
    )


def _class_rates(
    tables: np.ndarray, truth: np.ndarray, predicted: np.ndarray, labels: np.ndarray
) -> dict[str, np.ndarray]:
    """Precision, recall and F1 of each present class in each resample, float [resamples, classes]; NaN if undefined."""
    present = np.unique(labels)
    is_true = (truth[:, None] == present).astype(np.float32)
    is_predicted = (predicted[:, None] == present).astype(np.float32)
    correct, examples, positives = tables @ (is_true * is_predicted), tables @ is_true, tables @ is_predicted
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "precision": np.where(positives > 0, correct / positives, np.where(examples > 0, 0.0, np.nan)),
            "recall": correct / examples,
            "f1": 2 * correct / (examples + positives),
        }


def _row_means(rates: np.ndarray) -> np.ndarray:
    finite = np.isfinite(rates)
    result: np.ndarray = np.where(finite, rates, 0).sum(axis=1) / finite.sum(axis=1)
    return result


def roc_points(predictions: Predictions, points: int = 100) -> tuple[list[float], list[float], list[float]]:
    """False positive rates, true positive rates and thresholds, each [points + 1], thresholds falling from 1 to 0.

    The micro average: every pair of an example and a class counts once, so classes without examples do not matter.
    """
    shares = probabilities(predictions.logits)
    own = np.zeros(shares.shape, bool)
    own[np.arange(len(own)), predictions.labels] = True
    edges = np.linspace(0, 1, points + 1)
    # A pair is positive at a threshold if its probability is at least the threshold.
    above = [np.histogram(shares[mask], edges)[0][::-1].cumsum() for mask in (own, ~own)]
    true, false = (np.concatenate([[0], part]) / max(1, part[-1]) for part in above)
    return false.tolist(), true.tolist(), edges[::-1].tolist()


def fold_confusion(matrix: np.ndarray, names: list[str], limit: int) -> tuple[np.ndarray, list[str]]:
    """A confusion matrix of at most ``limit`` rows: the classes with most errors, then all others together."""
    if len(names) <= limit:
        return matrix, names
    errors = matrix.sum(axis=0) + matrix.sum(axis=1) - 2 * matrix.diagonal()
    own = np.sort(np.argsort(-errors, kind="stable")[: limit - 1])
    group = np.full(len(names), limit - 1)
    group[own] = np.arange(limit - 1)
    folded = np.zeros((limit, limit), matrix.dtype)
    np.add.at(folded, (group[:, None], group[None, :]), matrix)
    return folded, [*(names[index] for index in own), f"{len(names) - limit + 1} others"]
