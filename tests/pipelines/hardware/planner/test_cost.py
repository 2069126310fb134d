"""Spot capacity: expected losses against simulated ones and against limits that are known."""

import math
import random

import pytest

from components.train.checkpoint_timer import best_interval
from pipelines.hardware.planner import cost

HOUR = cost.HOUR


def test_without_interruptions_spot_takes_what_on_demand_takes() -> None:
    spot = cost.spot(10 * HOUR, 300, HOUR, 10, 0.0)
    assert (spot.seconds, spot.lost, spot.interruptions) == (300 + 10 * HOUR + 100, 0, 0)


def simulated(work: float, start: float, interval: float, write: float, rate: float, runs: int) -> float:
    """The mean time of a training that is interrupted at random, played step by step."""
    random.seed(1)
    total = 0.0
    for _ in range(runs):
        clock, done = start, 0.0
        until = clock + random.expovariate(rate / HOUR)
        while done < work:
            span = min(interval, work - done) + write
            if clock + span <= until:
                clock, done = clock + span, done + span - write
                continue
            clock = until
            until = clock + random.expovariate(rate / HOUR)
            while until < clock + start:  # interrupted while it starts again
                clock = until
                until = clock + random.expovariate(rate / HOUR)
            clock += start
        total += clock
    return total / runs


@pytest.mark.parametrize(
    ("interval", "rate"), [(0.25 * HOUR, 0.05), (HOUR, 0.25), (2 * HOUR, 0.5)], ids=["rare", "some", "many"]
)
def test_the_expected_time_is_the_mean_of_many_trainings(interval: float, rate: float) -> None:
    found = cost.spot(20 * HOUR, 400, interval, 20, rate).seconds
    assert found == pytest.approx(simulated(20 * HOUR, 400, interval, 20, rate, 3000), rel=0.03)


def test_the_best_interval_loses_least() -> None:
    best = best_interval(60, HOUR / 0.2)
    times = [cost.spot(50 * HOUR, 300, best * factor, 60, 0.2).seconds for factor in (0.3, 1, 3)]
    assert times[1] == min(times)


def test_a_training_that_never_gets_to_a_checkpoint_never_ends() -> None:
    spot = cost.spot(1000 * HOUR, 300, 1000 * HOUR, 10, 1.0)
    assert math.isinf(spot.seconds)
    assert cost.dollars(spot.seconds, 1.0) is None


@pytest.mark.parametrize(("seconds", "price", "usd"), [(7200, 3.0, 6.0), (1, 60.0, 1.0), (100, None, None)])
def test_time_is_paid_by_the_second_and_a_minute_at_least(seconds: float, price: float | None, usd: float) -> None:
    assert cost.dollars(seconds, price) == usd
