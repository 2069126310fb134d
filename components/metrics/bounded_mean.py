"""The mean of bounded values, tested without any other assumption on their distribution.

The test is N. Gaffke's ("Three test statistics for a nonparametric one-sided hypothesis on the mean of a nonnegative
variable", Mathematical Methods of Statistics 14 (2005) 451-467), and its bound that of E. Learned-Miller and P. Thomas
("A new confidence interval for the mean of a bounded random variable", arXiv:1905.06208): one more example is added
that has the worst possible value, and examples are weighted by independent exponentials. For values of 0 and 1 that is
Clopper's and Pearson's exact bound. In general its validity at every n is a conjecture without a known exception;
``python -m benchmarks gate`` looks for one. The usual bootstraps have many: a loss that few examples carry is often not
in the sample at all.
"""

import numpy as np
from scipy import optimize

# Different values of examples in one computation: more are averaged in bins, which changes a p-value by about 1e-6.
MAX_VALUES = 2000
# The integrand is negligible where the characteristic function is below exp(-DECAY); at most MAX_RANGE is integrated.
DECAY, MAX_RANGE = 25.0, 640.0
# A mean no further above the lowest possible value is that value.
LEAST_SPAN = 1e-9


def tail(counts: np.ndarray, values: np.ndarray) -> np.ndarray:
    """P(sum of values times independent standard exponentials <= 0), float64 [...].

    By inversion of the characteristic function (J. Gil-Pelaez, Biometrika 38 (1951) 481-482), by the trapezoidal rule.

    Args:
        counts: how many exponentials each value has, [..., k].
        values: [..., k], not all 0.
    """
    counts, values = np.broadcast_arrays(np.asarray(counts, np.float64), np.asarray(values, np.float64))
    scale = np.sqrt((counts * values**2).sum(axis=-1))
    values = values / scale[..., None]
    mean = (counts * values).sum(axis=-1)
    end = 10.0
    while end < MAX_RANGE and (0.5 * (counts * np.log1p((values * end) ** 2)).sum(axis=-1)).min() < DECAY:
        end *= 2
    step = 2 * np.pi / (50 + np.abs(mean).max())
    points = np.arange(step, end, step)
    total = mean / 2
    for start in range(0, len(points), 32):
        scaled = values[..., None, :] * points[start : start + 32, None]
        angle = (counts[..., None, :] * np.arctan(scaled)).sum(axis=-1)
        decay = 0.5 * (counts[..., None, :] * np.log1p(scaled**2)).sum(axis=-1)
        total = total + (np.sin(angle) * np.exp(-decay) / points[start : start + 32]).sum(axis=-1)
    result: np.ndarray = np.clip(0.5 - step / np.pi * total, 0.0, 1.0)
    return result


def p_value(sums: np.ndarray, sizes: np.ndarray, floor: float, null: float) -> float:
    """The p-value of the hypothesis that the mean of examples is at most ``null``.

    Args:
        sums: the sum of the values of each group of examples, float64 [groups]; single examples are groups of one.
        sizes: the number of examples of each group, [groups].
        floor: the lowest possible value of an example.
        null: above ``floor``.
    """
    above = np.append(sums - null * sizes, (floor - null) * sizes.max())
    values, counts = np.unique(above, return_counts=True)
    if len(values) > MAX_VALUES:
        bins = np.linspace(values[0], values[-1], MAX_VALUES + 1)[1:-1]
        which = np.searchsorted(bins, above)
        counts = np.bincount(which, minlength=MAX_VALUES)
        values = np.bincount(which, above, MAX_VALUES) / np.maximum(counts, 1)
    return float(tail(counts, values))


def lower_bound(sums: np.ndarray, sizes: np.ndarray, floor: float, error_rate: float) -> float:
    """A one-sided confidence bound of the mean of examples; arguments as for ``p_value``."""
    mean = float(sums.sum() / sizes.sum())
    span = mean - floor
    if span <= LEAST_SPAN:
        return floor

    def excess(share: float) -> float:
        return p_value(sums, sizes, floor, floor + share * span) - error_rate

    # A mean that nearly all of the data reach may be below its own bound by less than can be computed.
    least = 1e-9
    if excess(least) >= 0:
        return floor
    return floor + span * float(optimize.brentq(excess, least, 1.0, xtol=1e-7))


def interval(
    values: np.ndarray, error_rate: float, bounds: tuple[float, float], groups: np.ndarray | None = None
) -> tuple[float, float]:
    """A two-sided interval of the mean of values [n] between two bounds, by groups [n] if given."""
    sums, sizes = grouped(values, groups)
    low, high = bounds
    upper = -lower_bound(-sums, sizes, -high, error_rate / 2)
    return lower_bound(sums, sizes, low, error_rate / 2), upper


def grouped(values: np.ndarray, groups: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Sums of values and numbers of examples, [groups] each; without groups each example is one."""
    if groups is None:
        return np.asarray(values, np.float64), np.ones(len(values))
    _, which = np.unique(groups, return_inverse=True)
    return np.bincount(which, values), np.bincount(which).astype(np.float64)
