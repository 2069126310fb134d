"""When a checkpoint is due: often enough to lose little, seldom enough to cost little."""

import math
import time
from dataclasses import dataclass

from components.train.settings import TrainingSettings

HOUR = 3600.0


def best_interval(write: float, between: float) -> float:
    """Seconds between checkpoints that lose least: sqrt(2 C M).

    Sources: Young, "A first order approximation to the optimum checkpoint interval", CACM 17(9), 1974; Daly, "A higher
    order estimate of the optimum checkpoint interval for restart dumps", FGCS 22(3), 2006, whose estimate it is to
    first order, good while C is small against M.

    Args:
        write: C, seconds to write one.
        between: M, the mean seconds between two interruptions.
    """
    return math.sqrt(2 * write * between)


@dataclass(frozen=True)
class Interval:
    """How far apart checkpoints are to be.

    Attributes:
        seconds: inside an epoch; 0 writes none there.
        share: the most of all time that writing them may take.
        preemptions: interruptions expected an hour; above 0 it decides in place of ``seconds``.
    """

    seconds: float
    share: float
    preemptions: float

    @classmethod
    def of(cls, settings: TrainingSettings) -> "Interval":
        """What a training section asks for."""
        return cls(settings.checkpoint_seconds, settings.checkpoint_share, settings.checkpoint_preemptions)

    def least(self, write: float) -> float:
        """Seconds between two below which writing them, ``write`` seconds each, would take more than its share."""
        return write * (1 / self.share - 1)

    def inside(self, write: float) -> float:
        """Seconds between two inside an epoch."""
        wanted = best_interval(write, HOUR / self.preemptions) if self.preemptions else self.seconds or math.inf
        return max(wanted, self.least(write))

    def expected(self, write: float, epoch: float) -> float:
        """Seconds between two in a training whose epochs take ``epoch`` seconds and end with one each."""
        return min(self.inside(write), max(epoch, self.least(write)))


class Rhythm:
    """Tells when the next checkpoint is due, from what the ones before took to write.

    Attributes:
        count: checkpoints written.
        seconds: that writing them took, all together.
    """

    def __init__(self, interval: Interval) -> None:
        self._interval = interval
        self.count, self.seconds, self._last = 0, 0.0, time.monotonic()

    @property
    def interval(self) -> float:
        """Seconds between two checkpoints inside an epoch, by the mean time that one took; that is 0 before any."""
        return self._interval.inside(self._write)

    @property
    def _write(self) -> float:
        return self.seconds / self.count if self.count else 0.0

    def due(self, *, epoch_over: bool) -> bool:
        """Whether to write one now; at an epoch's end always, unless that would cost more than the share."""
        wait = self._interval.least(self._write) if epoch_over else self.interval
        return time.monotonic() - self._last >= wait

    def written(self, seconds: float) -> None:
        """Note that one was written just now, and what it took."""
        self.count += 1
        self.seconds += seconds
        self._last = time.monotonic()
