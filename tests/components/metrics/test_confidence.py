"""Intervals cover what they say, near the ends of a metric's range too."""

import numpy as np
import pytest
from scipy import stats

from components.metrics import bootstrap, confidence

RATES = (*np.linspace(0.5, 0.999, 60), 0.995, 0.998)


def coverage(n: int, rate: float) -> float:
    """The probability of a sample whose interval holds the rate, summed over all samples."""
    ends = np.array([confidence.proportion(count, n) for count in range(n + 1)])
    return float(stats.binom.pmf(np.arange(n + 1), n, rate)[(ends[:, 0] <= rate) & (rate <= ends[:, 1])].sum())


@pytest.mark.parametrize("n", [20, 59, 300])
def test_the_interval_of_a_share_covers_as_often_as_it_says_and_little_more(n: int) -> None:
    covered = np.array([coverage(n, rate) for rate in RATES])
    assert covered.min() >= 0.95 - 1e-9
    middle = covered[np.array(RATES) * n <= n - 5]  # five wrong answers or more are expected
    assert middle.mean() < 0.97


@pytest.mark.parametrize("count", range(13))
def test_it_is_blakers_interval(count: int) -> None:
    """By its definition: the rates at which what is no more likely than the count, in its tails, exceeds the error."""
    n, rates = 12, np.linspace(0, 1, 4001)[1:-1]
    at_most = stats.binom.cdf(np.arange(n + 1)[:, None], n, rates)
    at_least = stats.binom.sf(np.arange(n + 1)[:, None] - 1, n, rates)
    smaller = np.minimum(at_most, at_least)
    weights = stats.binom.pmf(np.arange(n + 1)[:, None], n, rates)
    inside = rates[(weights * (smaller <= smaller[count] + 1e-12)).sum(axis=0) > 0.05]
    low, high = confidence.proportion(count, n)
    assert low == pytest.approx(inside.min() if count else 0.0, abs=1e-3)
    assert high == pytest.approx(inside.max() if count < n else 1.0, abs=1e-3)


def test_fifty_of_fifty_is_no_certainty_for_any_metric() -> None:
    assert confidence.proportion(50, 50)[0] == pytest.approx(0.94, abs=0.01)
    assert confidence.mean(np.ones(50), bounded=True)[0] < 0.95
    assert confidence.share(1.0, 0.0, 50)[0] == pytest.approx(stats.beta.ppf(0.025, 50, 1))
    assert bootstrap.share(1.0, np.ones(100), 50)[0] < 0.95


@pytest.mark.parametrize(
    "losses", [np.r_[np.zeros(19), 5.0], np.full(20, 1e-9), np.random.default_rng(0).exponential(1, 20)]
)
def test_a_loss_has_no_negative_bound(losses: np.ndarray) -> None:
    low, high = confidence.mean(losses)
    assert 0 <= low <= losses.mean() <= high
    mirrored = confidence.mean(-losses)
    assert mirrored == pytest.approx((-high, -low))


def test_values_of_both_signs_have_students_interval() -> None:
    values = np.array([-0.1, 0.5, 2.0, 0.3])
    expected = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
    assert confidence.mean(values) == pytest.approx(expected)


@pytest.mark.parametrize("n", [20, 200])
def test_the_interval_of_a_skewed_loss_covers(n: int) -> None:
    generator, held = np.random.default_rng(n), 0
    for _ in range(600):
        low, high = confidence.mean(generator.exponential(0.3, n))
        held += low <= 0.3 <= high
    assert held / 600 >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / 600)


def test_a_share_over_tokens_is_as_sure_as_its_texts_and_not_as_its_tokens() -> None:
    right, tokens = np.repeat([90.0, 50.0], [15, 5]), np.full(20, 100.0)
    low, high = confidence.ratio(right, tokens, bounded=True)
    assert high - low > 5 * np.subtract(*confidence.proportion(int(right.sum()), 2000)[::-1]) / 2
    groups = np.arange(20) // 2
    wider = confidence.ratio(right, tokens, bounded=True, groups=groups)
    assert wider[1] - wider[0] > high - low
