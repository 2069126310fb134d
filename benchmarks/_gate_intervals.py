"""How often intervals hold the truth: exactly for shares of right answers, simulated for other metrics."""

from collections.abc import Callable, Iterator

import numpy as np
from scipy import stats

from components.metrics import confidence
from components.metrics.classification import Predictions, confidence_intervals, scores

SIZES = (20, 50, 100, 300, 1000, 10_000)
RATES = (0.5, 0.7, 0.9, 0.95, 0.99, 0.999)
SIMULATIONS = 400


def shares() -> Iterator[tuple[int, list[float], list[float]]]:
    """Number of examples, and at each of RATES the coverage of the interval and of a percentile bootstrap's."""
    for n in SIZES:
        found, percentile = [], []
        for rate in RATES:
            counts = np.arange(*np.clip(stats.binom.interval(1 - 1e-9, n, rate) + np.array([0, 1]), 0, n + 1)).astype(
                int
            )
            weights = stats.binom.pmf(counts, n, rate)
            ends = np.array([confidence.proportion(int(count), n) for count in counts])
            found.append(float(weights[(ends[:, 0] <= rate) & (rate <= ends[:, 1])].sum()))
            low, high = (stats.binom.ppf(level, n, counts / n) / n for level in (0.025, 0.975))
            percentile.append(float(weights[(low <= rate) & (rate <= high)].sum()))
        yield n, found, percentile


def others(generator: np.random.Generator) -> Iterator[tuple[str, int, float, float]]:
    """Metric, examples, coverage of its interval, and of a percentile bootstrap's (NaN if it was not simulated)."""
    for n in (20, 100, 300):
        for name, draw, truth, bounded in MEANS:
            held = percentile = 0
            for _ in range(SIMULATIONS):
                values = draw(generator, n)
                low, high = confidence.mean(values, bounded=bounded)
                held += low <= truth <= high
                means = values[generator.integers(0, n, (400, n))].mean(axis=1)
                percentile += np.quantile(means, 0.025) <= truth <= np.quantile(means, 0.975)
            yield name, n, held / SIMULATIONS, percentile / SIMULATIONS
    for n in (100, 1000):
        for skill in (2.0, 6.0):
            truth_of = scores(predictions(generator, 200_000, skill))
            names = ("macro_f1", "macro_precision", "macro_recall", "roc_auc")
            held_of = dict.fromkeys(names, 0)
            for _ in range(SIMULATIONS // 2):
                one = predictions(generator, n, skill)
                found = confidence_intervals(one, scores(one)).metrics
                for metric in names:
                    held_of[metric] += found[metric][0] <= truth_of[metric] <= found[metric][1]
            for metric in names:
                yield f"{metric} near {truth_of[metric]:.3f}", n, held_of[metric] / (SIMULATIONS // 2), np.nan


def predictions(generator: np.random.Generator, n: int, skill: float, classes: int = 4) -> Predictions:
    """Simulated logits of a classifier whose classes are not equally frequent."""
    labels = generator.choice(classes, n, p=np.arange(classes, 0, -1) / (classes * (classes + 1) / 2))
    logits = generator.normal(size=(n, classes)).astype(np.float32)
    logits[np.arange(n), labels] += skill
    return Predictions(logits, labels, 2)


def _f1(generator: np.random.Generator, n: int) -> np.ndarray:
    return generator.choice([1.0, 0.8, 0.5, 0.0], n, p=[0.9, 0.06, 0.03, 0.01])


def _rare(generator: np.random.Generator, n: int) -> np.ndarray:
    return np.where(generator.random(n) < 0.02, 0.0, generator.beta(98, 2, n))


Draw = Callable[[np.random.Generator, int], np.ndarray]
# Name, draw, true mean, whether values lie between 0 and 1.
MEANS: tuple[tuple[str, Draw, float, bool], ...] = (
    ("F1 of images", _f1, 0.9 + 0.048 + 0.015, True),
    ("chrF of sentences", lambda generator, n: generator.beta(6, 2, n), 0.75, True),
    ("chrF with rare failures", _rare, 0.98 * 0.98, True),
    ("loss, exponential", lambda generator, n: generator.exponential(0.3, n), 0.3, False),
    ("loss, lognormal", lambda generator, n: generator.lognormal(-2, 1, n), float(np.exp(-1.5)), False),
    ("bits a character", lambda generator, n: generator.gamma(36, 2 / 36, n), 2.0, False),
)
