"""When a checkpoint is due."""

import math

import pytest

from components.train import checkpoint_timer
from components.train.checkpoint_timer import CheckpointInterval, CheckpointTimer, best_interval
from components.train.settings import TrainingSettings


class Clock:
    """Time that passes when it is told to."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(checkpoint_timer, "time", clock)
    return clock


def timer_of(**settings: float) -> CheckpointTimer:
    return CheckpointTimer(CheckpointInterval.from_settings(TrainingSettings(**settings)))


def lived(timer: CheckpointTimer, clock: Clock, write: float, epoch: float, seconds: float) -> list[float]:
    """The times of the checkpoints of so many seconds of training, looked at every 0.1 s; each takes ``write``."""
    times, end, next_epoch = [], clock.now + seconds, clock.now + epoch
    while clock.now < end:
        clock.now += 0.1
        over = clock.now >= next_epoch
        next_epoch += epoch if over else 0
        if timer.due(epoch_end=over):
            times.append(round(clock.now - 1000, 1))
            clock.now += write
            timer.written(write)
    return times


def test_one_is_written_every_so_many_seconds_and_after_each_epoch(clock: Clock) -> None:
    times = lived(timer_of(checkpoint_seconds=60), clock, 0.01, 150, 400)
    assert times == pytest.approx([60, 120, 150, 210, 270, 300, 360], abs=0.5)


def test_without_seconds_there_is_none_inside_an_epoch(clock: Clock) -> None:
    times = lived(timer_of(checkpoint_seconds=0), clock, 0.01, 150, 400)
    assert times == pytest.approx([150, 300], abs=0.5)


@pytest.mark.parametrize(("write", "epoch", "setting"), [(2.0, 1e9, 1.0), (0.5, 3.0, 60.0), (5.0, 20.0, 10.0)])
def test_writing_takes_no_more_than_its_share_however_short_epochs_and_seconds_are(
    clock: Clock, write: float, epoch: float, setting: float
) -> None:
    timer = timer_of(checkpoint_seconds=setting)
    times = lived(timer, clock, write, epoch, 5000)
    assert len(times) > 10
    # The first one is written before it is known what one takes.
    assert (len(times) - 1) * write / (clock.now - 1000 - times[0]) <= 0.02
    assert timer.seconds == pytest.approx(write * len(times))


def test_a_whole_share_leaves_none_out(clock: Clock) -> None:
    times = lived(timer_of(checkpoint_seconds=0.05, checkpoint_share=1), clock, 3.0, 1.0, 100)
    assert len(times) == pytest.approx(100 / 3.1, abs=2)


def test_the_interval_follows_from_the_interruptions_expected(clock: Clock) -> None:
    timer = timer_of(checkpoint_preemptions=0.25, checkpoint_seconds=5)
    assert timer.due(epoch_end=False), "the first one shows what one takes"
    timer.written(10.0)
    # Ten seconds to write and an interruption in four hours: about nine minutes.
    assert timer.interval == pytest.approx(536.7, abs=0.1) == best_interval(10, 4 * 3600)


@pytest.mark.parametrize(("write", "between"), [(1.0, 3600.0), (10.0, 14400.0), (0.1, 600.0)])
def test_the_best_interval_loses_least(write: float, between: float) -> None:
    """Against the expected loss per second, to first order: C/T for writing and T/2M for what is done again."""

    def loss(interval: float) -> float:
        return write / interval + interval / (2 * between)

    best = best_interval(write, between)
    assert loss(best) < min(loss(best * 0.9), loss(best * 1.1))
    assert loss(best) == pytest.approx(math.sqrt(2 * write / between))


@pytest.mark.parametrize(
    ("write", "epoch", "expected"), [(0.1, 600, 60), (0.1, 30, 30), (1.0, 30, 49), (10.0, 30, 490), (10.0, 600, 490)]
)
def test_what_to_expect_is_the_shorter_of_epoch_and_seconds_within_the_share(
    write: float, epoch: float, expected: float
) -> None:
    assert CheckpointInterval.from_settings(TrainingSettings()).expected(write, epoch) == pytest.approx(expected)
