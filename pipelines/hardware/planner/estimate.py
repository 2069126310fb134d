"""A job on one row of the catalog: whether it fits, how long it takes and what it costs."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.hardware import fit
from pipelines.hardware.catalog.row import Row
from pipelines.hardware.planner import calibration, cost, duration, memory
from pipelines.hardware.planner.calibration import Calibration
from pipelines.hardware.planner.efficiency import EFFICIENCIES
from pipelines.hardware.planner.jobs import Job
from pipelines.hardware.planner.memory import GIB

# With a measured speed of the same chip, batch sizes and the day still make a difference.
CALIBRATED_SPREAD = 1.15


@dataclass(frozen=True)
class Assumptions:
    """The assumptions of a plan beside the catalog.

    Attributes:
        interruptions: of spot capacity, an hour.
        start_seconds: until the first step; None for the planner's own estimate.
        calibrations: measured by finished runs.
    """

    interruptions: float = cost.INTERRUPTIONS
    start_seconds: float | None = None
    calibrations: Sequence[Calibration] = ()


@dataclass(frozen=True)
class Estimate:
    """A job on a row. Times and costs include the start, those of spot capacity the expected losses.

    Attributes:
        row: the row's name.
        precision: Keras's dtype policy.
        examples_per_second: expected.
        low: lower end of the range of ``examples_per_second``.
        high: its upper end.
        bound: what takes most of a step: ``compute``, ``memory bandwidth``, ``input pipeline``, ``step overhead`` or
            ``all-reduce``.
        start_seconds: until the first step.
        seconds: of the whole training on demand.
        cost: USD on demand; None if the catalog has no price.
        spot_seconds: of the whole training on spot, expected.
        spot_cost: USD on spot, expected.
        interruptions: on spot, expected.
        lost_seconds: on spot, expected to be computed twice or spent on restarts.
        checkpoint_seconds: between two checkpoints.
        best_checkpoint_seconds: the interval that loses least.
        memory: bytes on one chip.
        memory_limit: bytes of one chip.
        largest_batch: the largest global batch that fits.
        calibrated: the run whose measured speed is used, if any.
    """

    row: str
    precision: str
    examples_per_second: float
    low: float
    high: float
    bound: str
    start_seconds: float
    seconds: float
    cost: float | None
    spot_seconds: float
    spot_cost: float | None
    interruptions: float
    lost_seconds: float
    checkpoint_seconds: float
    best_checkpoint_seconds: float
    memory: float
    memory_limit: float
    largest_batch: int
    calibrated: str = ""

    def hours(self, spot: bool) -> float:
        return (self.spot_seconds if spot else self.seconds) / cost.HOUR

    def price(self, spot: bool) -> float | None:
        """USD of the whole training."""
        return self.spot_cost if spot else self.cost


@dataclass(frozen=True)
class Refusal:
    """A row that the job does not fit, and why."""

    row: str
    reason: str


def misfit(job: Job, row: Row) -> str:
    """Why a job does not fit a row, or an empty string."""
    if row.refused:
        return row.refused
    precision, chips = fit.precision(job.precision, row), row.count * row.hosts
    if precision not in row.precisions:
        return f"no units for {precision}; it has {', '.join(row.precisions)}"
    if row.kind == "tpu" and job.backend not in {"auto", "jax"}:
        return f"its image trains with jax, not with {job.backend}"
    if job.batch_size % chips:
        below = job.batch_size // chips * chips
        near = f"{below} or {below + chips}" if below else str(chips)
        return f"a batch of {job.batch_size} cannot be divided among {chips} chips; {near} can"
    needed = memory.needed(job, row, precision)
    if needed.total > needed.limit:
        largest = memory.largest_batch(job, row, precision)
        can = f"the largest batch that fits is {largest}" if largest else "no batch fits"
        return f"needs {needed.total / GIB:.1f} GiB a chip of {needed.limit / GIB:.0f}; {can}"
    return ""


def estimate(job: Job, row: Row, assumed: Assumptions) -> Estimate:
    """The estimate for a row that the job fits."""
    precision = fit.precision(job.precision, row)
    measured = calibration.for_row(assumed.calibrations, row)
    factor = measured.factor if measured else 1.0
    predicted = duration.predict(job, row, precision, factor, assumed.start_seconds)
    spread = CALIBRATED_SPREAD if measured else EFFICIENCIES[row.kind].spread
    needed = memory.needed(job, row, precision)
    write = (needed.variables + needed.slots) / cost.WRITE_RATE
    interval = job.checkpoints.expected(write, predicted.work / job.epochs)
    spot = cost.spot(predicted.work, predicted.start, interval, write, assumed.interruptions)
    seconds = predicted.start + predicted.work + write * predicted.work / interval
    return Estimate(
        row=row.name,
        precision=precision,
        examples_per_second=predicted.rate,
        low=predicted.rate / spread,
        high=predicted.rate * spread,
        bound=predicted.bound,
        start_seconds=predicted.start,
        seconds=seconds,
        cost=cost.dollars(seconds, row.on_demand),
        spot_seconds=spot.seconds,
        spot_cost=cost.dollars(spot.seconds, row.spot),
        interruptions=spot.interruptions,
        lost_seconds=spot.lost,
        checkpoint_seconds=interval,
        best_checkpoint_seconds=spot.best_interval,
        memory=needed.total,
        memory_limit=needed.limit,
        largest_batch=memory.largest_batch(job, row, precision),
        calibrated=measured.source if measured else "",
    )
