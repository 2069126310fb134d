"""The one way to try again, with a clock of its own: no test waits."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from components.core.retry import Retry


class Clock:
    """Time passes only by what is slept."""

    def __init__(self) -> None:
        self.now, self.pauses = 0.0, list[float]()

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def retry(clock: Clock, **options: Any) -> Retry:
    values: dict[str, Any] = {"transient": lambda error: isinstance(error, ConnectionError), "timeout": 60.0}
    return Retry(**{**values, "clock": lambda: clock.now, "sleep": clock.sleep, **options})


def failing(times: int, error: type[Exception] = ConnectionError) -> Callable[[], str]:
    """A call that fails so many times and then succeeds."""
    outcomes = iter([*[error] * times, None])

    def call() -> str:
        if outcome := next(outcomes):
            raise outcome
        return "done"

    return call


def test_a_transient_error_is_tried_again(clock: Clock) -> None:
    trying = retry(clock)
    assert trying(failing(3))() == "done" and trying.failures == len(clock.pauses) == 3


def test_another_error_is_final(clock: Clock) -> None:
    trying = retry(clock)
    with pytest.raises(ValueError):
        trying(failing(1, ValueError))()
    assert trying.failures == 0 and clock.pauses == []


def test_each_pause_is_random_below_a_bound_that_doubles(clock: Clock) -> None:
    trying = retry(clock, timeout=1e6, first=1.0, longest=16.0)
    for attempt in range(8):
        pauses = []
        for _ in range(200):
            trying.pause(ConnectionError(), attempt)
            pauses.append(clock.pauses[-1])
        bound = min(16.0, 2.0**attempt)
        assert max(pauses) <= bound and bound / 2 * 0.8 < sum(pauses) / 200 < bound / 2 * 1.2


def test_a_part_of_the_pause_may_be_fixed(clock: Clock) -> None:
    trying = retry(clock, timeout=1e6, first=1.0, jitter=0.5)
    for _ in range(200):
        trying.pause(ConnectionError(), 0)
    assert 0.5 <= min(clock.pauses) < 0.6 and 0.9 < max(clock.pauses) <= 1.0


def test_two_objects_do_not_pause_in_step() -> None:
    first, second = Clock(), Clock()
    for clock in (first, second):
        retry(clock)(failing(5))()
    assert first.pauses != second.pauses


def test_the_global_generator_is_left_alone(clock: Clock) -> None:
    before = random.getstate()
    retry(clock)(failing(5))()
    assert random.getstate() == before


def test_the_server_is_given_the_time_that_it_asks_for(clock: Clock) -> None:
    assert retry(clock, retry_after=lambda error: 7.0)(failing(2))() == "done"
    assert clock.pauses == [7.0, 7.0]


def test_a_server_that_asks_for_more_time_than_is_left_is_not_asked_again(clock: Clock) -> None:
    with pytest.raises(ConnectionError):
        retry(clock, timeout=5.0, retry_after=lambda error: 7.0)(failing(2))()
    assert clock.pauses == []


def test_the_number_of_attempts_may_be_limited(clock: Clock) -> None:
    assert retry(clock, attempts=3)(failing(2))() == "done"
    with pytest.raises(ConnectionError):
        retry(clock, attempts=3)(failing(3))()
    assert len(clock.pauses) == 4, "no pause after the last attempt"


def test_the_timeout_counts_from_the_last_success_not_from_the_beginning(clock: Clock) -> None:
    trying = retry(clock, timeout=10.0, retry_after=lambda error: 6.0)
    for _ in range(20):
        assert trying(failing(1))() == "done"
    assert trying.failures == 20 and clock.now == 120.0
    assert trying.remaining == 10.0
    with pytest.raises(ConnectionError):
        trying(failing(2))()
