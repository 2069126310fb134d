"""The cost of a training, on demand and on spot capacity with its interruptions."""

import math
from dataclasses import dataclass

from components.train.checkpoint_timer import best_interval

HOUR = 3600.0
# Interruptions an hour of spot capacity: an assumption, one in 20 hours. Google observed 5 to 15% of preemptible
# machines a day over all kinds (Compute Engine's page on preemptible VMs); those in demand are preempted more often.
INTERRUPTIONS = 0.05
# Bytes/s of a checkpoint to Cloud Storage: the lower end of the usual 100 to 200 MB/s of one stream.
WRITE_RATE = 100e6


@dataclass(frozen=True)
class Spot:
    """A training on spot capacity.

    Attributes:
        seconds: expected, with losses.
        interruptions: expected number.
        lost: expected seconds computed twice or spent on restarts.
        interval: seconds between checkpoints.
        best_interval: the interval that loses least.
    """

    seconds: float
    interruptions: float
    lost: float
    interval: float
    best_interval: float


def spot(work: float, start: float, interval: float, write: float, rate: float) -> Spot:
    """The expected duration of a training that is interrupted at random.

    Source: Daly, "A higher order estimate of the optimum checkpoint interval for restart dumps", FGCS 22(3), 2006,
    equation 13: with a mean time M between interruptions, M exp(R/M) (exp((T + d)/M) - 1) W/T.

    Args:
        work: W, seconds of training without the first start.
        start: R, seconds from an interruption until training continues.
        interval: T, seconds of work between checkpoints.
        write: d, seconds to write one.
        rate: interruptions an hour.
    """
    if not rate:
        return Spot(start + work + write * work / interval, 0.0, 0.0, interval, math.inf)
    between = HOUR / rate
    exponent = (interval + write + start) / between
    if exponent > 500:  # it never ends
        return Spot(math.inf, math.inf, math.inf, interval, best_interval(write, between))
    undisturbed = work + write * work / interval
    busy = between * math.exp(start / between) * math.expm1((interval + write) / between) * work / interval
    return Spot(start + busy, (start + busy) / between, busy - undisturbed, interval, best_interval(write, between))


def dollars(seconds: float, price: float | None) -> float | None:
    """USD for a time at a price an hour; Compute Engine bills by the second, and at least a minute."""
    return None if price is None or math.isinf(seconds) else max(seconds, 60.0) / HOUR * price
