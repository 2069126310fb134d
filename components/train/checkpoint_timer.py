"""When a checkpoint is due: often enough to lose little, seldom enough to cost little."""

import math
import time
from dataclasses import dataclass
from typing import Self

from components.train.settings import TrainingSettings

HOUR = 3600.0


def best_interval(write: float, between: float) -> float:
    """The interval in seconds that loses the least time: sqrt(2 C M).

    Sources: Young, "A first order approximation to the optimum checkpoint interval", CACM 17(9), 1974. It is also the
    first-order term of Daly, "A higher order estimate of the optimum checkpoint interval for restart dumps", FGCS
    22(3), 2006, and accurate while C is small compared to M.

    Args:
        write: C, seconds to write a checkpoint.
        between: M, mean seconds between two interruptions.
    """
    return math.sqrt(2 * write * between)


@dataclass(frozen=True)
class CheckpointInterval:
    """The time between two checkpoints.

    Attributes:
        seconds: within an epoch; 0 for none within an epoch.
        share: the largest share of all time that writing them may take.
        preemptions: interruptions expected per hour; above 0 it replaces ``seconds``.
    """

    seconds: float
    share: float
    preemptions: float

    @classmethod
    def from_settings(cls, settings: TrainingSettings) -> Self:
        return cls(settings.checkpoint_seconds, settings.checkpoint_share, settings.checkpoint_preemptions)

    def minimum(self, write: float) -> float:
        """The seconds below which writing them, ``write`` seconds each, would exceed the share."""
        return write * (1 / self.share - 1)

    def within_epoch(self, write: float) -> float:
        """Seconds between two checkpoints within an epoch."""
        wanted = best_interval(write, HOUR / self.preemptions) if self.preemptions else self.seconds or math.inf
        return max(wanted, self.minimum(write))

    def expected(self, write: float, epoch: float) -> float:
        """Seconds between two checkpoints in a training whose epochs take ``epoch`` seconds each."""
        return min(self.within_epoch(write), max(epoch, self.minimum(write)))


class CheckpointTimer:
    """Decides when the next checkpoint is due, from the time that writing the previous ones took.

    Attributes:
        count: checkpoints written.
        seconds: total time to write them.
    """

    def __init__(self, interval: CheckpointInterval) -> None:
        self._interval = interval
        self.count, self.seconds, self._last = 0, 0.0, time.monotonic()

    @property
    def interval(self) -> float:
        """Seconds between two checkpoints within an epoch, from the mean time to write one (0 before the first)."""
        return self._interval.within_epoch(self._write)

    @property
    def _write(self) -> float:
        return self.seconds / self.count if self.count else 0.0

    def due(self, *, epoch_end: bool) -> bool:
        """Whether to write one now. At the end of an epoch that is always so, unless it would exceed the share."""
        wait = self._interval.minimum(self._write) if epoch_end else self.interval
        return time.monotonic() - self._last >= wait

    def written(self, seconds: float) -> None:
        """Note that a checkpoint was written just now and how long that took."""
        self.count += 1
        self.seconds += seconds
        self._last = time.monotonic()
