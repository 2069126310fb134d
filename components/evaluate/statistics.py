"""The paired tests of the gate: differences of two models on the same examples."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import special, stats

from components.metrics import bootstrap

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
        right_or_wrong: whether the metric is 1 or 0 for each example, so that the exact test applies.
    """

    difference: float
    low: float
    high: float
    n: int
    won: int
    lost: int
    error_rate: float
    right_or_wrong: bool

    def above(self, null: float) -> bool:
        """Whether the true difference is shown to be above a value."""
        return greater(self._pairs(), null, self.error_rate) if self.right_or_wrong else self.low > null

    def below(self, null: float) -> bool:
        """Whether the true difference is shown to be below a value."""
        return greater(self._pairs().swapped(), -null, self.error_rate) if self.right_or_wrong else self.high < null

    def _pairs(self) -> PairedCounts:
        return PairedCounts(self.won, self.lost, self.n)


def compare(new: np.ndarray, old: np.ndarray, error_rate: float, resamples: int, seed: int) -> Comparison:
    """Compare two models by the paired metric of each example, float64 [n] each, where more is better.

    The exact test is for right and wrong (1 and 0), a studentized bootstrap for other values.
    """
    difference = new - old
    won, lost = int((difference > 0).sum()), int((difference < 0).sum())
    right_or_wrong = bool(np.isin(difference, (-1, 0, 1)).all())
    if right_or_wrong:
        pairs = PairedCounts(won, lost, len(difference))
        low, high = lower_bound(pairs, error_rate), -lower_bound(pairs.swapped(), error_rate)
    else:
        low = _studentized_low(difference, error_rate, resamples, seed)
        high = -_studentized_low(-difference, error_rate, resamples, seed)
    return Comparison(float(difference.mean()), low, high, len(difference), won, lost, error_rate, right_or_wrong)


def _studentized_low(values: np.ndarray, error_rate: float, resamples: int, seed: int) -> float:
    """A lower confidence bound for a mean: the bootstrap-t (B. Efron and R. Tibshirani, An Introduction to the
    Bootstrap, 1993, section 12.5), which accounts for skewness, unlike the percentile interval."""
    n, centred = len(values), values - values.mean()
    columns = np.column_stack([centred, centred**2]).astype(np.float32)
    moments = np.concatenate([counts @ columns for counts in bootstrap.resample_counts(n, resamples, seed)]) / n
    spread = np.sqrt(np.maximum(moments[:, 1] - moments[:, 0] ** 2, 0))
    ratios = np.divide(moments[:, 0], spread, out=np.zeros(resamples), where=spread > 0)
    return float(values.mean() - np.quantile(ratios, 1 - error_rate) * values.std())


def wilson(successes: int, n: int, error_rate: float) -> tuple[float, float]:
    """A two-sided interval for a proportion (E. Wilson, JASA 22 (1927) 209-212), valid even if it is 0 or 1."""
    z = float(stats.norm.isf(error_rate / 2))
    share = successes / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def mean_interval(values: np.ndarray, error_rate: float) -> tuple[float, float]:
    """A two-sided interval for the mean of examples' values: Wilson's for right and wrong, else Student's t."""
    n = len(values)
    if np.isin(values, (0, 1)).all():
        return wilson(int(values.sum()), n, error_rate)
    if n < 2:
        return -math.inf, math.inf
    half = float(stats.t.isf(error_rate / 2, n - 1) * values.std(ddof=1) / math.sqrt(n))
    return float(values.mean()) - half, float(values.mean()) + half
