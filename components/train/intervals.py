"""When a checkpoint is due: often enough to lose little, seldom enough to cost little."""

import math
import time

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


class Rhythm:
    """Tells when the next checkpoint is due, from what the ones before took to write.

    Attributes:
        count: checkpoints written.
        seconds: that writing them took, all together.
    """

    def __init__(self, settings: TrainingSettings) -> None:
        self.settings = settings
        self.count, self.seconds, self.last = 0, 0.0, time.monotonic()

    @property
    def write(self) -> float:
        """Seconds to write one, as measured so far; 0 before the first."""
        return self.seconds / self.count if self.count else 0.0

    @property
    def rest(self) -> float:
        """Seconds between two checkpoints below which writing them would take more than its share of all time."""
        return self.write * (1 / self.settings.checkpoint_share - 1)

    @property
    def interval(self) -> float:
        """Seconds between two checkpoints inside an epoch."""
        settings = self.settings
        if settings.checkpoint_preemptions:
            wanted = best_interval(self.write, HOUR / settings.checkpoint_preemptions)
        else:
            wanted = settings.checkpoint_seconds or math.inf
        return max(wanted, self.rest)

    def due(self, *, epoch_over: bool) -> bool:
        """Whether to write one now; at an epoch's end always, unless that would cost more than the share."""
        return time.monotonic() - self.last >= (self.rest if epoch_over else self.interval)

    def written(self, seconds: float) -> None:
        """Note that one was written just now, and what it took."""
        self.count += 1
        self.seconds += seconds
        self.last = time.monotonic()
