"""The paired tests of the gate: differences of two models on the same examples."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import special

from components.metrics import bounded_mean

# The share of the error rate for the interval of the rate of disagreement (gamma in Berger and Boos, 1994).
NUISANCE_SHARE = 0.02
GRID = 24


@dataclass(frozen=True)
class PairedCounts:
    """Two models on the same ``n`` examples, each right or wrong: McNemar's table.

    Attributes:
        won: the challenger is right and the champion wrong.
        lost: the champion is right and the challenger wrong.
        n: all examples, including those on which both agree.
    """

    won: int
    lost: int
    n: int

    @property
    def difference(self) -> float:
        """The challenger's accuracy minus the champion's."""
        return (self.won - self.lost) / self.n

    def swapped(self) -> "PairedCounts":
        """The table with the two models exchanged."""
        return PairedCounts(self.lost, self.won, self.n)


def score(won: np.ndarray, lost: np.ndarray, n: int, null: float) -> np.ndarray:
    """Tango's score statistic for the hypothesis that the true difference is ``null``; large if it is greater.

    The variance is estimated under the hypothesis, so that it is positive even with few or no discordant pairs. If it
    is 0 nevertheless (no discordant pair, null 0), the statistic is 0.

    Source: T. Tango, Statistics in Medicine 17 (1998) 891-908, equations for the restricted estimate.
    """
    won, lost = np.asarray(won, np.float64), np.asarray(lost, np.float64)
    half = (2 * n - won + lost) * null - won - lost
    last = -lost * null * (1 - null)
    lost_rate = (np.sqrt(np.maximum(half**2 - 8 * n * last, 0)) - half) / (4 * n)
    variance = n * (2 * lost_rate + null * (1 - null))
    above = won - lost - n * null
    result: np.ndarray = np.divide(
        above, np.sqrt(np.maximum(variance, 0)), out=np.zeros_like(above), where=variance > 1e-12
    )
    return result


@lru_cache(maxsize=65536)
def p_value(pairs: PairedCounts, null: float, error_rate: float) -> float:
    """The p-value of the hypothesis that the true difference is at most ``null``, valid for every n.

    With few discordant pairs the percentile bootstrap has an error of 10% and more instead of 5% (benchmarks/gate.py).
    A difference of right and wrong has only three values, so its distribution under the hypothesis is a trinomial with
    one unknown, the rate of disagreement. The p-value is the sum of its probabilities, maximised over a confidence
    interval of the unknown, plus the error of that interval.

    Sources: R. Berger and K. Sidik, Statistical Methods in Medical Research 12 (2003) 91-108, who found this test the
    most powerful of the valid ones; R. Berger and D. Boos, JASA 89 (1994) 1012-1016 for the interval; H. Hsueh, J. Liu
    and J. Chen, Biometrics 57 (2001) 478-483: the largest value lies on the hypothesis' boundary.

    Args:
        null: the difference of the hypothesis, above -1 and below 1.
        error_rate: the level of the test; it only determines the interval's error.
    """
    n, observed = pairs.n, float(score(np.array(pairs.won), np.array(pairs.lost), pairs.n, null))
    spent = error_rate * NUISANCE_SHARE
    rates = _disagreements(pairs.won + pairs.lost, n, null, spent)
    # Less than 1e-7 is beyond 5.5 standard deviations.
    reach = 5.5 * np.sqrt(n * rates * (1 - rates)) + 10
    first, last = int(max(0, (n * rates - reach).min())), int(min(n, (n * rates + reach).max()))
    totals = np.arange(first, last + 1)
    return min(1.0, float(_tail(totals, _least_won(totals, n, null, observed), n, null, rates).max()) + spent)


def _disagreements(discordant: int, n: int, null: float, error: float) -> np.ndarray:
    """Rates of discordant pairs that the data and the hypothesis allow (the Clopper-Pearson interval)."""
    low = special.betaincinv(discordant, n - discordant + 1, error / 2) if discordant else 0.0
    high = special.betaincinv(discordant + 1, n - discordant, 1 - error / 2) if discordant < n else 1.0
    least = max(abs(null), 1e-12)
    # A grid in the square root, which stabilises the variance of a count.
    roots = np.linspace(math.sqrt(max(low, least)), math.sqrt(max(high, least)), GRID)
    return np.clip(roots**2, least, 1.0)


def _least_won(totals: np.ndarray, n: int, null: float, observed: float) -> np.ndarray:
    """For each number of discordant pairs, the fewest won that reach the observed statistic; total + 1 if none."""
    low, high = np.zeros_like(totals), totals + 1
    while (open_ := low < high).any():
        middle = (low + high) // 2
        reached = score(middle, totals - middle, n, null) >= observed - 1e-9
        high = np.where(open_ & reached, middle, high)
        low = np.where(open_ & ~reached, middle + 1, low)
    return low


def _tail(totals: np.ndarray, least: np.ndarray, n: int, null: float, rates: np.ndarray) -> np.ndarray:
    """For each rate, the probability of tables at or beyond the observed one, summed over the discordant pairs."""
    rates = rates[:, None]
    log_count = special.gammaln(n + 1) - special.gammaln(totals + 1) - special.gammaln(n - totals + 1)
    weights = np.exp(log_count + special.xlogy(totals, rates) + special.xlog1py(n - totals, -rates))
    beyond = special.bdtrc(least - 1, totals, np.where(weights > 1e-12, (rates + null) / (2 * rates), 0.0))
    beyond[:, least == 0] = 1.0
    beyond[:, least > totals] = 0.0
    result: np.ndarray = (weights * beyond).sum(axis=1)
    return result


def greater(pairs: PairedCounts, null: float, error_rate: float) -> bool:
    """Whether the true difference is shown to be greater than ``null``."""
    return pairs.difference > null and p_value(pairs, null, error_rate) <= error_rate


@lru_cache(maxsize=65536)
def lower_bound(pairs: PairedCounts, error_rate: float) -> float:
    """A one-sided confidence bound: the largest difference, to a hundredth, that is shown to be exceeded."""
    won, lost, limit = np.array(pairs.won), np.array(pairs.lost), float(-special.ndtri(error_rate))
    low, high = -1.0, pairs.difference
    while high - low > 1e-6:  # by the normal approximation of the statistic, which is cheap
        middle = (low + high) / 2
        low, high = (middle, high) if score(won, lost, pairs.n, middle) > limit else (low, middle)
    # The exact bound is near; bracket it, then bisect.
    step, high = max(1e-5, (pairs.difference - low) / 16), low
    while high + step < pairs.difference and greater(pairs, high, error_rate):
        low, high = high, high + step
    while low > -1 and not greater(pairs, low, error_rate):
        low, high, step = max(-1.0, low - step), low, step * 1.5
    while high - low > 0.01 * (pairs.difference - low):
        middle = (low + high) / 2
        low, high = (middle, high) if greater(pairs, middle, error_rate) else (low, middle)
    return low


# --- any paired metric -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """The paired metric's difference, challenger minus champion, on the same examples.

    Attributes:
        difference: the mean of the examples' differences.
        low: lower bound of the true difference, with confidence 1 - error rate.
        high: upper bound, with the same confidence.
        n: number of examples.
        won: examples on which the challenger is better.
        lost: examples on which the champion is better.
        error_rate: of each bound.
        variance: of one example's difference; with groups, of a group's over its mean size.
        units: number of independent examples, or of their groups.
        span: how far the metric's two ends lie apart.
        exact: whether the metric is 1 or 0 for each example and these are independent, so that the exact test applies.
    """

    difference: float
    low: float
    high: float
    n: int
    won: int
    lost: int
    error_rate: float
    variance: float
    units: int
    span: float
    exact: bool

    def above(self, null: float) -> bool:
        """Whether the true difference is shown to be above a value."""
        return greater(self._pairs(), null, self.error_rate) if self.exact else self.low > null

    def below(self, null: float) -> bool:
        """Whether the true difference is shown to be below a value."""
        return greater(self._pairs().swapped(), -null, self.error_rate) if self.exact else self.high < null

    def detectable(self, power: float = 0.8) -> float:
        """The margin that equally good models would be shown to keep with a probability, if they differed as much."""
        return self._reach(power) * math.sqrt(self.variance / self.units)

    def needed(self, margin: float, power: float = 0.8) -> int:
        """The number of independent examples, or groups, that would show such a margin with that probability."""
        return math.ceil(self.variance * (self._reach(power) / margin) ** 2)

    def _reach(self, power: float) -> float:
        return float(special.ndtri(1 - self.error_rate) + special.ndtri(power))

    def _pairs(self) -> PairedCounts:
        return PairedCounts(self.won, self.lost, self.n)


def compare(
    new: np.ndarray,
    old: np.ndarray,
    error_rate: float,
    bounds: tuple[float, float] = (0.0, 1.0),
    groups: np.ndarray | None = None,
) -> Comparison:
    """Compare two models by the paired metric of each example, float64 [n] each, where more is better.

    The exact test is for right and wrong (1 and 0) on independent examples, that of a bounded mean for everything else.

    Args:
        bounds: between which the metric of every example lies.
        groups: numbers of groups whose examples are not independent, [n].
    """
    difference, span = new - old, bounds[1] - bounds[0]
    won, lost = int((difference > 0).sum()), int((difference < 0).sum())
    sums, sizes = bounded_mean.grouped(difference, groups)
    n, mean = len(difference), float(difference.mean())
    exact = groups is None and bool(np.isin(new, (0, 1)).all() and np.isin(old, (0, 1)).all()) and span == 1
    if exact:
        pairs = PairedCounts(won, lost, n)
        low, high = lower_bound(pairs, error_rate), -lower_bound(pairs.swapped(), error_rate)
    else:
        low = bounded_mean.lower_bound(sums, sizes, -span, error_rate)
        high = -bounded_mean.lower_bound(-sums, sizes, -span, error_rate)
    variance = float(((sums - mean * sizes) ** 2).mean() / sizes.mean() ** 2)
    return Comparison(mean, low, high, n, won, lost, error_rate, variance, len(sums), span, exact)
