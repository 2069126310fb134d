"""Confidence intervals of metrics that hold their level near 0 and 1, and never leave a metric's range.

A percentile bootstrap of a share near 1 covers far less than 95%: of 50 right answers it makes "1.0 to 1.0".
``python -m benchmarks gate`` simulates how often these intervals hold the truth.
"""

import math
from functools import lru_cache

import numpy as np
from scipy import special

from components.metrics import bounded_mean

LEVEL = 0.95
# Steps between the two limits that enclose Blaker's.
STEPS = 1000


def proportion(successes: int, n: int, error_rate: float = 1 - LEVEL) -> tuple[float, float]:
    """Blaker's exact two-sided interval of a proportion, which lies within Clopper's and Pearson's.

    It covers at least as often as it says, and little more where whole numbers of successes allow it.

    Source: H. Blaker, Canadian Journal of Statistics 28 (2000) 783-798.
    """
    return _lower(successes, n, error_rate), 1 - _lower(n - successes, n, error_rate)


@lru_cache(maxsize=65536)
def _lower(successes: int, n: int, error_rate: float) -> float:
    """The lower limit: where the upper tail, and the part of the other that is no more likely, reach the error."""
    if not successes:
        return 0.0
    first, last = special.betaincinv(successes, n - successes + 1, [error_rate / 2, error_rate]).tolist()
    rates = np.linspace(first, last, STEPS)
    own = special.bdtrc(successes - 1, n, rates)  # P(X >= successes)
    below = np.maximum(np.ceil(special.bdtrik(own, n, rates)) - 1, -1)  # the most that are no more likely
    other = np.where(below >= 0, special.bdtr(np.maximum(below, 0), n, rates), 0.0)
    accepted = own + np.where(other <= own * (1 + 1e-9), other, 0.0) > error_rate
    first_accepted = int(accepted.argmax()) if accepted.any() else STEPS - 1
    return float(rates[max(0, first_accepted - 1)])


def share(value: float, variance: float, n: float, error_rate: float = 1 - LEVEL) -> tuple[float, float]:
    """The interval of an estimate between 0 and 1 with an estimated variance: that of as many right-or-wrong examples
    as would have this variance, or of ``n`` of them if none differ.

    Source: E. Korn and B. Graubard, Survey Methodology 24 (1998) 193-201.
    """
    if not math.isfinite(value):
        return math.nan, math.nan
    value = min(1.0, max(0.0, value))
    size = value * (1 - value) / variance if variance > 1e-12 and 0 < value < 1 else n
    right, wrong = value * size, (1 - value) * size
    low = float(special.betaincinv(right, wrong + 1, error_rate / 2)) if right else 0.0
    high = float(special.betaincinv(right + 1, wrong, 1 - error_rate / 2)) if wrong else 1.0
    return low, high


def positive(value: float, variance: float, largest: float, error_rate: float = 1 - LEVEL) -> tuple[float, float]:
    """The gamma interval of a sum of positive parts with an estimated variance, such as a mean loss.

    Args:
        largest: the largest part, such as the largest loss over the number of examples.

    Source: M. Fay and E. Feuer, Statistics in Medicine 16 (1997) 791-801.
    """
    if not math.isfinite(value) or value <= 0:
        return value, value
    above = value + largest
    spread = variance + largest**2
    low = value
    if variance > 1e-24:
        low = variance / value * float(special.gammaincinv(value**2 / variance, error_rate / 2))
    return low, spread / above * float(special.gammaincinv(above**2 / spread, 1 - error_rate / 2))


def mean(
    values: np.ndarray, error_rate: float = 1 - LEVEL, *, bounded: bool = False, groups: np.ndarray | None = None
) -> tuple[float, float]:
    """The interval of a mean over examples.

    Args:
        values: of each example, float64 [n].
        bounded: whether they cannot lie outside 0 and 1.
        groups: numbers of groups whose examples are not independent, [n].
    """
    if groups is None and np.isin(values, (0, 1)).all():
        return proportion(int(values.sum()), len(values), error_rate)
    if bounded:
        return bounded_mean.interval(values, error_rate, (0.0, 1.0), groups)
    return ratio(values, np.ones(len(values)), error_rate, groups=groups)


def ratio(
    parts: np.ndarray,
    sizes: np.ndarray,
    error_rate: float = 1 - LEVEL,
    *,
    bounded: bool = False,
    groups: np.ndarray | None = None,
) -> tuple[float, float]:
    """The interval of sum(parts) / sum(sizes), such as a loss over the tokens of texts, by the ratio's linearisation.

    Args:
        parts: of each example, float64 [n].
        sizes: of each example, [n], above 0 in all.
        bounded: whether the ratio cannot lie outside 0 and 1.
        groups: numbers of groups whose examples are not independent, [n].
    """
    parts, _ = bounded_mean.grouped(parts, groups)
    sizes, _ = bounded_mean.grouped(sizes, groups)
    n, total = len(parts), float(sizes.sum())
    value = float(parts.sum() / total)
    variance = float(((parts - value * sizes) ** 2).sum() / total**2 * n / max(1, n - 1))
    if bounded:
        return share(value, variance, n, error_rate)
    if (parts <= 0).all():
        low, high = positive(-value, variance, float(-parts.min() / total), error_rate)
        return -high, -low
    if (parts >= 0).all():
        return positive(value, variance, float(parts.max() / total), error_rate)
    if n < 2:
        return -math.inf, math.inf
    half = float(special.stdtrit(n - 1, 1 - error_rate / 2)) * math.sqrt(variance)
    return value - half, value + half
