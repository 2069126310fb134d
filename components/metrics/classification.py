"""Metrics of classifiers that give one label to one example, whatever the example is."""

from dataclasses import dataclass

import numpy as np

from components.metrics import bootstrap

CALIBRATION_BINS = 15
# Beyond this many outputs the interval of the ROC AUC would take longer than all the rest, and is left out.
ROC_CELLS = 5_000_000


@dataclass(frozen=True)
class Judged:
    """Logits against true labels, with what follows from them.

    Attributes:
        logits: float [n, classes].
        labels: the true labels, integers [n].
        top_k: how many of the best labels may hold the true one.
    """

    logits: np.ndarray
    labels: np.ndarray
    top_k: int

    @property
    def classes(self) -> int:
        """The number of classes."""
        return int(self.logits.shape[1])

    @property
    def predicted(self) -> np.ndarray:
        """The best label of every example, integers [n]; the first of equally good ones."""
        result: np.ndarray = self.logits.argmax(axis=1)
        return result

    @property
    def right(self) -> np.ndarray:
        """Whether the best label is the true one, bool [n]."""
        result: np.ndarray = self.predicted == self.labels
        return result

    def values(self) -> dict[str, np.ndarray]:
        """The metrics that are means over examples: metric -> float64 [n]."""
        shifted = _shifted(self.logits)
        own = np.take_along_axis(shifted, self.labels[:, None], axis=1)
        loss = np.log(np.exp(shifted).sum(axis=1)) - own[:, 0]
        # Of equal logits the earlier label comes first, as in ``ranked``.
        before = (shifted > own) | ((shifted == own) & (np.arange(self.classes) < self.labels[:, None]))
        return {
            "accuracy": self.right.astype(np.float64),
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


def ranked(logits: np.ndarray, count: int) -> np.ndarray:
    """The labels of the ``count`` largest logits, best first, integers [n, count]."""
    result: np.ndarray = np.argsort(-logits, axis=1, kind="stable")[:, :count]
    return result


def scores(judged: Judged) -> dict[str, float]:
    """Metrics of the whole: means over examples, averages over classes, ROC AUC and calibration.

    Averages over classes take the classes that have examples. The ROC AUC is one-vs-rest, macro-averaged, and absent
    where no class has both examples and counterexamples.
    """
    from sklearn import metrics

    found = {name: float(values.mean()) for name, values in judged.values().items()}
    present = np.unique(judged.labels)
    for average in ("macro", "weighted"):
        parts = metrics.precision_recall_fscore_support(
            judged.labels, judged.predicted, labels=present, average=average, zero_division=0
        )
        found |= {f"{average}_{name}": float(v) for name, v in zip(("precision", "recall", "f1"), parts, strict=False)}
    if len(present) > 1:
        truth = judged.labels[:, None] == present
        found["roc_auc"] = float(metrics.roc_auc_score(truth, probabilities(judged.logits)[:, present]))
    found["calibration_error"] = float(np.abs(_calibration_gaps(judged).sum(axis=0)).sum() / len(judged.labels))
    return found


def confusion(judged: Judged) -> np.ndarray:
    """How often each class (row) was given each label (column), integers [classes, classes]."""
    cells = judged.labels * judged.classes + judged.predicted
    return np.bincount(cells, minlength=judged.classes**2).reshape(judged.classes, judged.classes)


@dataclass(frozen=True)
class ByClass:
    """One class's examples, precision, recall and F1, with 95% intervals of the last three."""

    label: int
    examples: int
    precision: float
    recall: float
    f1: float
    intervals: dict[str, tuple[float, float]]


def per_class(judged: Judged, resampled: "Resampled") -> list[ByClass]:
    """Precision, recall and F1 of every class that has examples."""
    from sklearn import metrics

    present = np.unique(judged.labels)
    parts = metrics.precision_recall_fscore_support(judged.labels, judged.predicted, labels=present, zero_division=0)
    columns = zip(present, *parts, strict=True)
    return [
        ByClass(int(label), int(support), float(precision), float(recall), float(f1), resampled.classes[int(label)])
        for label, precision, recall, f1, support in columns
    ]


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram's bins that hold examples: mean confidence, share of right ones, and how many."""

    confidence: np.ndarray
    accuracy: np.ndarray
    examples: np.ndarray


def reliability(judged: Judged) -> Reliability:
    """How often the model is right where it says it is so sure, in 15 bins of equal width."""
    confidence = probabilities(judged.logits).max(axis=1)
    bins = _bins(confidence)
    sizes = np.bincount(bins, minlength=CALIBRATION_BINS)
    kept = sizes > 0
    sums = [np.bincount(bins, values, CALIBRATION_BINS)[kept] for values in (confidence, judged.right)]
    return Reliability(sums[0] / sizes[kept], sums[1] / sizes[kept], sizes[kept])


def _bins(confidence: np.ndarray) -> np.ndarray:
    return np.minimum((confidence * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)


def _calibration_gaps(judged: Judged) -> np.ndarray:
    """Right (1 or 0) minus confidence of each example in its bin's column, float64 [n, bins].

    The expected calibration error is the sum over bins of |column's sum| / n (M. Naeini et al., AAAI 2015; C. Guo et
    al., ICML 2017, arXiv:1706.04599, whose 15 bins these are).
    """
    confidence = probabilities(judged.logits).max(axis=1)
    bins = _bins(confidence)
    gaps = np.zeros((len(bins), CALIBRATION_BINS))
    gaps[np.arange(len(bins)), bins] = judged.right - confidence
    return gaps


def _roc_influence(judged: Judged) -> np.ndarray | None:
    """Each example's part in the macro-averaged AUC, centred, float64 [n]; None where it is undefined or too costly.

    These are the placements of E. DeLong, D. DeLong and D. Clarke-Pearson, Biometrics 44 (1988) 837-845, by ranks (X.
    Sun and W. Xu, IEEE Signal Processing Letters 21 (2014) 1389-1393). Resampling them instead of the AUC itself drops
    terms of order 1/n and a sort for each resample.
    """
    from scipy.stats import rankdata

    present = np.unique(judged.labels)
    n = len(judged.labels)
    if len(present) < 2 or judged.logits.size > ROC_CELLS:
        return None
    chances, total = probabilities(judged.logits), np.zeros(n)
    for label in present:
        own, among_all = judged.labels == label, rankdata(chances[:, label])
        below = among_all[own] - rankdata(chances[own, label])  # counterexamples below each example
        above = own.sum() - (among_all[~own] - rankdata(chances[~own, label]))  # examples above each counterexample
        for part, others, mask in ((below, (~own).sum(), own), (above, own.sum(), ~own)):
            placement = part / others
            total[mask] += (placement - placement.mean()) * n / mask.sum()
    result: np.ndarray = total / len(present)
    return result


@dataclass(frozen=True)
class Resampled:
    """95% bootstrap intervals: of the metrics, and of each present class's precision, recall and F1."""

    metrics: dict[str, tuple[float, float]]
    classes: dict[int, dict[str, tuple[float, float]]]


def resampled(judged: Judged, found: dict[str, float], resamples: int, seed: int) -> Resampled:
    """Percentile bootstrap intervals, all from the same resamples of examples (percentiles of ``resamples`` values).

    Args:
        found: what ``scores`` gave.
    """
    # Examples of one cell of the confusion matrix side by side: its count is then one sum over neighbours.
    cells = judged.labels * judged.classes + judged.predicted
    order = np.argsort(cells, kind="stable")
    names, starts = np.unique(cells[order], return_index=True)
    means = judged.values()
    influence = _roc_influence(judged)
    ranks = [] if influence is None else [influence]
    columns = np.column_stack([*means.values(), *ranks, _calibration_gaps(judged)])[order].astype(np.float32)

    sums, tables = [], []
    for counts in bootstrap.counts(len(cells), resamples, seed):
        sums.append(counts @ columns)
        tables.append(np.add.reduceat(counts, starts, axis=1))
    drawn = np.concatenate(sums).astype(np.float64) / len(cells)
    by_class = _class_rates(np.concatenate(tables), names // judged.classes, names % judged.classes, judged.labels)

    values = {name: drawn[:, index] for index, name in enumerate(means)}
    if influence is not None:
        values["roc_auc"] = np.minimum(1.0, found["roc_auc"] + drawn[:, len(means)])
    values["calibration_error"] = np.abs(drawn[:, -CALIBRATION_BINS:]).sum(axis=1)
    with np.errstate(invalid="ignore"):
        values |= {f"macro_{name}": _row_means(rates) for name, rates in by_class.items()}
    present = np.unique(judged.labels)
    return Resampled(
        {name: bootstrap.interval(column) for name, column in values.items()},
        {
            int(label): {name: bootstrap.interval(rates[:, index]) for name, rates in by_class.items()}
            for index, label in enumerate(present)
        },
    )


def _class_rates(tables: np.ndarray, truth: np.ndarray, given: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Precision, recall and F1 of each present class in each resample, float [resamples, classes]; NaN where absent."""
    present = np.unique(labels)
    is_true = (truth[:, None] == present).astype(np.float32)
    is_given = (given[:, None] == present).astype(np.float32)
    right, examples, said = tables @ (is_true * is_given), tables @ is_true, tables @ is_given
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "precision": np.where(said > 0, right / said, np.where(examples > 0, 0.0, np.nan)),
            "recall": right / examples,
            "f1": 2 * right / (examples + said),
        }


def _row_means(rates: np.ndarray) -> np.ndarray:
    known = np.isfinite(rates)
    result: np.ndarray = np.where(known, rates, 0).sum(axis=1) / known.sum(axis=1)
    return result


def roc_points(judged: Judged, points: int = 100) -> tuple[list[float], list[float], list[float]]:
    """False positive rates, true positive rates and thresholds, each [points + 1], thresholds falling from 1 to 0.

    Every pair of an example and a class counts once (the micro average), which needs no class to have examples.
    """
    chances = probabilities(judged.logits)
    own = np.zeros(chances.shape, bool)
    own[np.arange(len(own)), judged.labels] = True
    edges = np.linspace(0, 1, points + 1)
    # A pair counts at a threshold when its probability is at least that.
    above = [np.histogram(chances[mask], edges)[0][::-1].cumsum() for mask in (own, ~own)]
    true, false = (np.concatenate([[0], part]) / max(1, part[-1]) for part in above)
    return false.tolist(), true.tolist(), edges[::-1].tolist()


def condensed(matrix: np.ndarray, names: list[str], most: int) -> tuple[np.ndarray, list[str]]:
    """A confusion matrix of at most ``most`` rows: the classes with most errors, then all others together."""
    if len(names) <= most:
        return matrix, names
    errors = matrix.sum(axis=0) + matrix.sum(axis=1) - 2 * matrix.diagonal()
    kept = np.sort(np.argsort(-errors, kind="stable")[: most - 1])
    group = np.full(len(names), most - 1)
    group[kept] = np.arange(most - 1)
    folded = np.zeros((most, most), matrix.dtype)
    np.add.at(folded, (group[:, None], group[None, :]), matrix)
    return folded, [*(names[index] for index in kept), f"{len(names) - most + 1} others"]
