"""The test of a bounded mean keeps its level where few examples carry the loss."""

import math
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from components.metrics import bounded_mean

BENCHMARK = Path(__file__).parents[3] / "benchmarks/gate.py"
# 10,000 simulations of an event of 5% stray further than this once in a thousand times.
PROMISED = 0.05 + 3.1 * math.sqrt(0.05 * 0.95 / 10_000)
ONES = np.ones


def test_the_tail_of_two_exponentials_is_the_share_of_their_values() -> None:
    assert bounded_mean.tail(np.ones(2), np.array([3.0, -1.0])) == pytest.approx(0.25, abs=1e-4)
    assert bounded_mean.tail(np.array([1.0, 2.0]), np.array([-3.0, 1.0])) == pytest.approx((3 / 4) ** 2, abs=1e-4)


@pytest.mark.parametrize(("right", "n"), [(18, 20), (20, 20), (1, 20), (295, 300), (300, 300)])
def test_for_right_and_wrong_it_is_clopper_and_pearsons_bound(right: int, n: int) -> None:
    values = np.repeat([1.0, 0.0], [right, n - right])
    found = bounded_mean.lower_bound(values, ONES(n), 0.0, 0.05)
    assert found == pytest.approx(special.betaincinv(right, n - right + 1, 0.05), abs=2e-5)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=40), st.sampled_from([0.01, 0.05, 0.2]))
def test_an_interval_lies_about_its_mean_and_within_the_range(values: list[float], error_rate: float) -> None:
    low, high = bounded_mean.interval(np.array(values), error_rate, (0.0, 1.0))
    assert 0 <= low <= np.mean(values) + 1e-9
    assert np.mean(values) - 1e-9 <= high <= 1


@pytest.mark.parametrize("number", range(6))
def test_a_model_worse_by_the_margin_is_promoted_at_most_at_the_stated_rate_whoever_carries_the_loss(
    number: int,
) -> None:
    simulation: dict[str, Any] = runpy.run_path(str(BENCHMARK))
    name, span, margin, loss, noise = simulation["LOSSES"][number]
    values = np.array([-loss, *(value for value, _ in noise)])
    rates = np.array([margin / loss, *((1 - margin / loss) * rate for _, rate in noise)])
    generator = np.random.default_rng(7)
    for n in (60, 400):
        worse = generator.multinomial(n, rates, 10_000)
        assert simulation["promoted_mean"](worse, values, span, margin) <= PROMISED, (name, n)


def test_a_percentile_bootstrap_breaks_that_promise_three_times_over() -> None:
    simulation: dict[str, Any] = runpy.run_path(str(BENCHMARK))
    generator = np.random.default_rng(7)
    worse = generator.multinomial(300, [0.005, 0.995], 500)
    assert simulation["percentile_mean"](worse, np.array([-2.0, 0.0]), 0.01, generator) > 0.15


def test_copies_of_an_example_in_one_group_say_no_more_than_one_of_them() -> None:
    values = np.random.default_rng(0).beta(8, 2, 40)
    copies, groups = np.repeat(values, 20), np.repeat(np.arange(40), 20)
    single = bounded_mean.interval(values, 0.05, (0.0, 1.0))
    assert bounded_mean.interval(copies, 0.05, (0.0, 1.0), groups) == pytest.approx(single, abs=1e-6)
    low, high = bounded_mean.interval(copies, 0.05, (0.0, 1.0))
    assert high - low < 0.4 * (single[1] - single[0]), "as if they were independent"


def test_many_different_values_are_averaged_in_bins_without_changing_the_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = np.random.default_rng(0).normal(0, 0.1, 1500).clip(-1, 1)
    whole = bounded_mean.lower_bound(values, ONES(1500), -1.0, 0.05)
    monkeypatch.setattr(bounded_mean, "MAX_VALUES", 300)
    assert bounded_mean.lower_bound(values, ONES(1500), -1.0, 0.05) == pytest.approx(whole, abs=1e-5)
