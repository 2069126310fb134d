"""One row of the catalog for one job: whether it can hold it, how long it takes and what it costs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pipelines.hardware import fit
from pipelines.hardware.catalog.row import Row
from pipelines.hardware.planner import calibration, cost, duration, memory
from pipelines.hardware.planner.calibration import Calibration
from pipelines.hardware.planner.efficiency import EFFICIENCIES
from pipelines.hardware.planner.jobs import Job
from pipelines.hardware.planner.memory import GIB

# A measured speed of the same chip leaves the spread of batch sizes and of the day.
CALIBRATED_SPREAD = 1.15


@dataclass(frozen=True)
class Assumptions:
    """What a plan assumes beside the catalog.

    Attributes:
        interruptions: of spot capacity, an hour.
        start_seconds: until the first step; None for the planner's own.
        calibrations: what finished runs measured.
    """

    interruptions: float = cost.INTERRUPTIONS
    start_seconds: float | None = None
    calibrations: Sequence[Calibration] = ()


@dataclass(frozen=True)
class Estimate:
    """What a row can do for a job. Times and costs include the start; spot ones the expected losses.

    Attributes:
        row: the row's name.
        precision: Keras's dtype policy there.
        examples_per_second: expected.
        low: examples a second at the lower end of the estimate's range.
        high: at its upper end.
        bound: what takes most of a step: ``compute``, ``memory bandwidth``, ``input pipeline``, ``step overhead`` or
            ``all-reduce``.
        start_seconds: until the first step.
        seconds: in all, on demand.
        cost: USD on demand; None where the catalog has no price.
        spot_seconds: in all, expected.
        spot_cost: USD, expected.
        interruptions: expected on spot.
        lost_seconds: expected to be done twice or spent on starting again on spot.
        checkpoint_seconds: between two checkpoints.
        best_checkpoint_seconds: what would lose least.
        memory: bytes on one chip.
        memory_limit: bytes that it has.
        largest_batch: the largest global batch that fits.
        calibrated: the run whose measured speed counts, or an empty string.
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
        """In all."""
        return (self.spot_seconds if spot else self.seconds) / cost.HOUR

    def price(self, spot: bool) -> float | None:
        """USD in all."""
        return self.spot_cost if spot else self.cost

    def record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Refusal:
    """A row that cannot hold the job, and why."""

    row: str
    reason: str


def precision_of(job: Job, row: Row) -> str:
    """The dtype policy that the job's training takes there."""
    return fit.precision(job.precision, row)


def misfit(job: Job, row: Row) -> str:
    """Why a row cannot hold the job, or an empty string."""
    if row.refused:
        return row.refused
    precision, chips = precision_of(job, row), row.count * row.hosts
    if precision not in row.precisions:
        return f"no units for {precision}; it has {', '.join(row.precisions)}"
    if row.kind == "tpu" and job.backend not in {"auto", "jax"}:
        return f"its image trains with jax, not with {job.backend}"
    if job.batch_size % chips:
        below = job.batch_size // chips * chips
        near = f"{below} or {below + chips}" if below else str(chips)
        return f"a batch of {job.batch_size} cannot be shared out over {chips} chips; {near} can"
    holds = memory.needed(job, row, precision)
    if holds.total > holds.limit:
        most = memory.largest_batch(job, row, precision)
        can = f"the largest batch that fits is {most}" if most else "no batch fits"
        return f"needs {holds.total / GIB:.1f} GiB a chip of {holds.limit / GIB:.0f}; {can}"
    return ""


def estimate(job: Job, row: Row, assumed: Assumptions) -> Estimate:
    """The estimate for a row that can hold the job."""
    precision = precision_of(job, row)
    measured = calibration.for_row(assumed.calibrations, row)
    factor = measured.factor if measured else 1.0
    course = duration.predict(job, row, precision, factor, assumed.start_seconds)
    spread = CALIBRATED_SPREAD if measured else EFFICIENCIES[row.kind].spread
    holds = memory.needed(job, row, precision)
    write = (holds.variables + holds.slots) / cost.WRITE_RATE
    interval = job.checkpoints.expected(write, course.work / job.epochs)
    spot = cost.spot(course.work, course.start, interval, write, assumed.interruptions)
    seconds = course.start + course.work + write * course.work / interval
    return Estimate(
        row=row.name,
        precision=precision,
        examples_per_second=course.rate,
        low=course.rate / spread,
        high=course.rate * spread,
        bound=course.bound,
        start_seconds=course.start,
        seconds=seconds,
        cost=cost.dollars(seconds, row.on_demand),
        spot_seconds=spot.seconds,
        spot_cost=cost.dollars(spot.seconds, row.spot),
        interruptions=spot.interruptions,
        lost_seconds=spot.lost,
        checkpoint_seconds=interval,
        best_checkpoint_seconds=spot.best_interval,
        memory=holds.total,
        memory_limit=holds.limit,
        largest_batch=memory.largest_batch(job, row, precision),
        calibrated=measured.source if measured else "",
    )
