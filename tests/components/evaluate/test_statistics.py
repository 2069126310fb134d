"""The paired test keeps its promise, and its bounds agree with it."""

import math
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from components.evaluate import statistics
from components.evaluate.statistics import PairedCounts

BENCHMARK = Path(__file__).parents[3] / "benchmarks/gate.py"
# 10,000 simulations of an event of 5% stray further than this once in a thousand times.
PROMISED = 0.05 + 3.1 * math.sqrt(0.05 * 0.95 / 10_000)


@pytest.fixture(scope="module")
def simulation() -> dict[str, Any]:
    return runpy.run_path(str(BENCHMARK))


@pytest.mark.parametrize(
    ("n", "margin", "disagree"),
    [
        # 2.7 expected losses and no gain: where the normal approximation promotes 6.7%.
        (360, 0.0076, 0.0076),
        (360, 0.01, 0.01),
        (360, 0.02, 0.05),
        (360, 0.05, 0.2),
        (360, 0.0, 0.02),
        (10_000, 0.01, 0.02),
        (10_000, 0.0, 0.01),
    ],
)
def test_a_model_worse_by_the_margin_is_promoted_at_most_at_the_stated_rate(
    simulation: dict[str, Any], n: int, margin: float, disagree: float
) -> None:
    tables = simulation["tables"](n, disagree, -margin, np.random.default_rng(7))
    assert simulation["Needed"](n, -margin, 0.05).promoted(tables) <= PROMISED


def test_the_percentile_bootstrap_breaks_that_promise(simulation: dict[str, Any]) -> None:
    generator = np.random.default_rng(7)
    tables = simulation["tables"](360, 0.01, -0.01, generator)
    assert simulation["percentile_promoted"](tables, 360, -0.01, generator) > 2 * 0.05


@pytest.mark.parametrize(("n", "margin", "disagree", "power"), [(360, 0.05, 0.1, 0.85), (10_000, 0.01, 0.02, 0.99)])
def test_an_equally_good_model_is_promoted_with_the_power_that_its_data_allow(
    simulation: dict[str, Any], n: int, margin: float, disagree: float, power: float
) -> None:
    tables = simulation["tables"](n, disagree, 0.0, np.random.default_rng(7))
    assert simulation["Needed"](n, -margin, 0.05).promoted(tables) > power


def test_slices_rarely_refuse_an_equally_good_model_and_nearly_always_one_that_is_clearly_worse_on_one(
    simulation: dict[str, Any],
) -> None:
    shares = [share for _, share in simulation["slice_refusals"](np.random.default_rng(7))]
    assert shares[0] <= PROMISED, "margin 0: the worst case"
    assert shares[1] < 0.001
    assert shares[2] > 0.95


def test_the_walk_from_neighbour_to_neighbour_finds_what_every_single_test_says(simulation: dict[str, Any]) -> None:
    needed = simulation["Needed"](40, -0.1, 0.05)
    for total, fewest in enumerate(needed.fewest(range(41))):
        for won in range(total + 1):
            assert statistics.greater(PairedCounts(won, total - won, 40), -0.1, 0.05) == (won >= fewest)


def test_the_score_with_a_null_of_zero_is_mcnemars() -> None:
    assert statistics.score(np.array(30), np.array(12), 500, 0.0) == pytest.approx((30 - 12) / math.sqrt(30 + 12))


def test_the_score_at_its_restricted_estimate_has_the_variance_of_that_estimate() -> None:
    n, won, lost, null = 44, 2, 3, -0.1
    rates = np.linspace(0.1, 0.55, 1_000_001)[1:-1]  # all that the null allows for the share lost
    likelihood = lost * np.log(rates) + won * np.log(rates + null) + (n - won - lost) * np.log(1 - 2 * rates - null)
    best = rates[likelihood.argmax()]
    expected = (won - lost - n * null) / math.sqrt(n * (2 * best + null - null**2))
    assert statistics.score(np.array(won), np.array(lost), n, null) == pytest.approx(expected, rel=1e-4)


def test_a_p_value_is_the_largest_probability_over_the_unknown_rate_of_disagreement() -> None:
    n, null, pairs = 30, -0.1, PairedCounts(2, 1, 30)
    won, lost = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    inside = won + lost <= n
    as_extreme = statistics.score(won, lost, n, null) >= statistics.score(np.array(2), np.array(1), n, null) - 1e-9

    def probability(rate: float) -> float:
        shares = [(rate + null) / 2, (rate - null) / 2, 1 - rate]
        counts = np.stack([won, lost, n - won - lost], axis=-1)[inside & as_extreme]
        return float(stats.multinomial.pmf(counts, n, shares).sum())

    spent = 0.05 * statistics.NUISANCE_SHARE
    low, high = stats.binomtest(3, n).proportion_ci(1 - spent, method="exact")
    brute = max(probability(rate) for rate in np.linspace(max(low, 0.1), high, 400)) + spent
    assert statistics.p_value(pairs, null, 0.05) == pytest.approx(brute, rel=5e-3)


def test_no_discordant_pairs_show_a_margin_but_no_superiority() -> None:
    assert statistics.greater(PairedCounts(0, 0, 10_000), -0.01, 0.05)
    assert not statistics.greater(PairedCounts(0, 0, 10_000), 0.0, 0.05)
    assert not statistics.greater(PairedCounts(0, 0, 100), -0.01, 0.05), (
        "a loss of 1% shows in 100 examples with 63% only"
    )


@pytest.mark.parametrize(
    "pairs", [PairedCounts(0, 0, 50), PairedCounts(3, 4, 360), PairedCounts(50, 0, 50), PairedCounts(396, 480, 10_000)]
)
def test_a_lower_bound_is_shown_to_be_exceeded_and_a_slightly_larger_one_is_not(pairs: PairedCounts) -> None:
    bound = statistics.lower_bound(pairs, 0.05)
    assert -1 <= bound <= pairs.difference
    assert statistics.greater(pairs, bound, 0.05)
    assert not statistics.greater(pairs, bound + 0.05 * (pairs.difference - bound) + 1e-4, 0.05)


def test_other_metrics_are_compared_as_bounded_means() -> None:
    generator = np.random.default_rng(3)
    outside = 0
    for _ in range(300):
        # Skewed differences with a mean of -0.1: the margin itself.
        found = statistics.compare(generator.beta(0.5, 4.5, 120), np.full(120, 0.2), 0.05)
        assert not found.exact
        outside += found.above(-0.1)
    assert outside / 300 <= 0.05 + 3.1 * math.sqrt(0.05 * 0.95 / 300)


def test_right_and_wrong_in_groups_are_no_independent_examples() -> None:
    new, old = np.ones(400), np.r_[np.ones(380), np.zeros(20)]
    groups = np.arange(400) // 20  # all that was won is one patient's
    assert statistics.compare(new, old, 0.05).above(0)
    found = statistics.compare(new, old, 0.05, groups=groups)
    assert (found.exact, found.units) == (False, 20)
    assert not found.above(0)


@pytest.mark.parametrize("error_rate", [0.05, 0.2])
def test_a_bound_of_another_metric_leaves_the_error_rate_on_one_side(error_rate: float) -> None:
    """Of many values the bound is known: so many standard errors below the mean."""
    values = np.random.default_rng(1).uniform(0, 1, 20_000)
    found = statistics.compare(values, np.full(20_000, 0.5), error_rate)
    errors = np.array([found.difference - found.low, found.high - found.difference]) / stats.sem(values)
    assert errors == pytest.approx(stats.norm.isf(error_rate), rel=0.06)


def test_a_comparison_counts_wins_and_losses() -> None:
    new, old = np.array([1.0, 1, 0, 0, 1]), np.array([1.0, 0, 1, 0, 0])
    found = statistics.compare(new, old, 0.05)
    assert (found.won, found.lost, found.n, found.difference) == (2, 1, 5, pytest.approx(0.2))
    assert found.low < found.difference < found.high
