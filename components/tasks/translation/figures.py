"""Figures of a translator's evaluation report."""

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from components.core import reports

BINS = 20


def spread(scores: np.ndarray, sizes: np.ndarray) -> Markup:
    """A histogram of sentence chrF, and its mean by the source's length.

    Args:
        scores: chrF of each sentence, 0 to 1, [n].
        sizes: bytes of each source, [n].
    """
    figure = Figure(figsize=(8, 2.6))
    left, right = figure.subplots(1, 2)
    left.hist(scores, np.linspace(0, 1, BINS + 1).tolist(), color="#0b63c5")
    left.set(xlabel="chrF of a sentence", ylabel="sentences")
    # Lengths with as many sentences each.
    edges = np.unique(np.quantile(sizes, np.linspace(0, 1, 11)))
    group = np.clip(np.searchsorted(edges, sizes, side="right") - 1, 0, max(0, len(edges) - 2))
    counts = np.bincount(group)
    occupied = counts > 0
    means = [np.bincount(group, values)[occupied] / counts[occupied] for values in (sizes, scores)]
    right.plot(*means, color="#0b63c5", marker="o", markersize=4)
    right.set(xlabel="bytes of the source", ylabel="mean chrF", ylim=(0, 1.02))
    for axes in (left, right):
        _plain(axes)
    figure.tight_layout()
    return reports.figure(figure, "Sentence chrF", "How the chrF of sentences is spread, and how it goes with length.")


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
