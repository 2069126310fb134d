"""Figures and tables of a classifier's evaluation report."""

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from components.core import reports
from components.metrics import classification
from components.metrics.classification import ByClass, Predictions

# More rows than this cannot be read on a page.
MOST_CLASSES = 20


def parts(judged: Predictions, names: Sequence[str], intervals: classification.ClassifierIntervals) -> list[Markup]:
    """The sections: by class, confusion matrix, reliability diagram."""
    results = classification.per_class(judged, intervals)
    return [
        reports.section("By class", by_class(results, classification.mistaken_for(judged), names)),
        reports.section("Confusion matrix", confusion(judged, names)),
        reports.section("Confidence", reliability(judged)),
    ]


def by_class(results: Sequence[ByClass], mistaken: Mapping[int, tuple[int, int]], names: Sequence[str]) -> Markup:
    """Every class, the worst F1 first, with 95% intervals and what it is most often taken for."""
    rows = []
    for one in sorted(results, key=lambda one: one.f1):
        label, count = mistaken.get(one.label, (0, 0))
        taken = f"{names[label]} ({count})" if count else ""
        values = [with_interval(getattr(one, name), one.intervals[name]) for name in ("precision", "recall", "f1")]
        rows.append([names[one.label], one.examples, *values, taken])
    head = ["class", "examples", "precision", "recall", "F1", "most often taken for"]
    return reports.table(head, rows, caption="The worst F1 first, with exact 95% intervals.")


def with_interval(value: float, interval: tuple[float, float]) -> str:
    """A value with its interval, three digits each, on one line however narrow the page."""
    return f"{value:.3f} ({interval[0]:.3f} to {interval[1]:.3f})".replace(" ", "\N{NO-BREAK SPACE}")


def confusion(judged: Predictions, names: Sequence[str]) -> Markup:
    """The confusion matrix, coloured by the share of each row; of many classes the most confused ones."""
    matrix, shown = classification.confusion(judged, names, MOST_CLASSES)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = 1.6 + 0.42 * len(shown)
    figure = Figure(figsize=(side, side))
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(matrix):
        if count:
            colour = "white" if shares[row, column] > 0.5 else "#1c2430"
            axes.text(column, row, str(count), ha="center", va="center", fontsize=8, color=colour)
    # A dollar sign in a name does not begin a formula.
    labels = [_short(name) for name in shown]
    axes.set_xticks(range(len(shown)), labels, rotation=45, ha="right", parse_math=False)
    axes.set_yticks(range(len(shown)), labels, parse_math=False)
    axes.set(xlabel="predicted", ylabel="true")
    _plain(axes)
    caption = "Counts; darker is a larger share of the row."
    if len(shown) < len(names):
        caption += f" The {MOST_CLASSES - 1} classes with most errors; all others together."
    return reports.figure(figure, "Confusion matrix", caption)


def reliability(judged: Predictions) -> Markup:
    """The reliability diagram, above a histogram of the confidence."""
    results = classification.reliability(judged)
    figure: Figure = Figure(figsize=(5, 5))
    upper, lower = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
    upper.plot([0, 1], [0, 1], color="#9aa5b1", linewidth=1, linestyle="--")
    upper.plot(results.confidence, results.accuracy, color="#0b63c5", marker="o", markersize=4)
    upper.set(ylabel="share that is right", ylim=(0, 1.02), xlim=(0, 1.02))
    width = 1 / classification.CALIBRATION_BINS
    lower.bar(results.confidence, results.examples, width=width * 0.8, color="#0b63c5")
    lower.set(xlabel="confidence", ylabel="examples")
    for axes in (upper, lower):
        _plain(axes)
    figure.align_ylabels()
    caption = "On the dashed line the model is right as often as its confidence says; below it, it is overconfident."
    return reports.figure(figure, "Reliability diagram", caption)


def _short(name: str) -> str:
    return name if len(name) <= 16 else f"{name[:15]}…"


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
