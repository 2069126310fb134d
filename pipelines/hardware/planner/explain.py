"""The numbers behind a row's estimate: the value, formula and source of each."""

from dataclasses import asdict, dataclass
from typing import Any

from components.core.errors import StepError
from pipelines.hardware.catalog.row import Row
from pipelines.hardware.planner import calibration, cost, duration, memory, throughput
from pipelines.hardware.planner.efficiency import EFFICIENCIES, SUSTAINED, mostly_products
from pipelines.hardware.planner.estimate import Assumptions, Estimate, estimate, misfit
from pipelines.hardware.planner.jobs import Job
from pipelines.hardware.planner.memory import GIB
from pipelines.hardware.planner.throughput import Chip

COUNTED = "counted on the model's traced graph"
CATALOG = "the catalog"


@dataclass(frozen=True)
class Fact:
    """One number.

    Attributes:
        name: of the number.
        value: in ``unit``; or a word.
        unit: such as ``examples/s``, ``GiB``, ``USD``.
        formula: by the names of other facts.
        source: of a measured or chosen number.
    """

    name: str
    value: float | str
    unit: str = ""
    formula: str = ""
    source: str = ""

    def record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def explained(job: Job, row: Row, assumed: Assumptions) -> tuple[Fact, ...]:
    """The facts behind a row's estimate, in the order of their use.

    Raises:
        StepError: the job does not fit the row.
    """
    if reason := misfit(job, row):
        raise StepError(f"{row.name} cannot hold {job.experiment}: {reason}", kind="settings")
    expected = estimate(job, row, assumed)
    return (
        *_model(job, row, expected),
        *_step(job, row, expected, assumed),
        *_time(job, row, expected, assumed),
        *_memory(job, row, expected),
        *_money(row, expected, assumed),
    )


def _model(job: Job, row: Row, expected: Estimate) -> tuple[Fact, ...]:
    traced = job.profile.step(expected.precision)
    parts = throughput.kernels(traced, row.kind)
    moved = sum(kernel.count * kernel.bytes.each for kernel in parts)
    kind = "matrix products" if mostly_products(traced) else "convolutions"
    return (
        Fact("precision", expected.precision, formula=f"training.precision is {job.precision}"),
        Fact("parameters", job.profile.parameters, "", source=COUNTED),
        Fact("forward pass", traced.forward_flops.each / 1e9, "GFLOP an example", source=COUNTED),
        Fact("training step", traced.flops.each / 1e9, "GFLOP an example", "forward and backward pass", COUNTED),
        Fact("traffic", moved / 1e6, "MB an example", "what the step's kernels read and write", COUNTED),
        Fact("kernels", sum(kernel.count for kernel in parts), "a step", source=COUNTED),
        Fact("mostly", kind, formula="by the share of matrix products in the FLOPs", source=COUNTED),
    )


def _step(job: Job, row: Row, expected: Estimate, assumed: Assumptions) -> tuple[Fact, ...]:
    chip, reached = Chip.from_row(row, expected.precision), EFFICIENCIES[row.kind]
    step = throughput.step(job.profile, expected.precision, job.batch_size, chip, job.optimizer)
    products = mostly_products(job.profile.step(expected.precision))
    product = reached.product("matmul" if products else "conv", chip.unit)
    bandwidth = reached.bandwidth(chip.bandwidth, products)
    sustained = "as listed, x the share that this chip sustains" if row.chip in SUSTAINED else "as listed"
    return (
        Fact("batch", job.batch_size / chip.count, "examples a chip", f"{job.batch_size} over {chip.count} chips"),
        Fact("peak", chip.flops / 1e12, f"TFLOP/s a chip ({chip.unit})", sustained, CATALOG),
        Fact("share of the peak", product, "", "for the model's main kind of product", reached.source),
        Fact("memory bandwidth", chip.bandwidth / 1e9, "GB/s a chip", sustained, CATALOG),
        Fact("bandwidth reached", bandwidth / 1e9, "GB/s a chip", "bandwidth x its fitted share", reached.source),
        Fact("compute", 1e3 * step.compute, "ms a step", "kernels whose arithmetic takes longer than their traffic"),
        Fact("memory traffic", 1e3 * step.memory, "ms a step", "the other kernels, and the optimizer's update"),
        Fact("launches", 1e3 * step.launch, "ms a step", f"kernels x {1e6 * reached.launch:g} us", reached.source),
        Fact("all-reduce", 1e3 * step.exchange, "ms a step", "2 (n - 1) / n x gradients / (link / 2 x its share)"),
    )


def _time(job: Job, row: Row, expected: Estimate, assumed: Assumptions) -> tuple[Fact, ...]:
    measured = calibration.for_row(assumed.calibrations, row)
    predicted = duration.predict(job, row, expected.precision, start=assumed.start_seconds)
    rate = duration.input_rate(job, row)
    joined = "sum of" if row.kind == "cpu" else "the longest of"
    decoded = f"vCPUs x {duration.DECODED:g} examples/s" if job.encoded else "vCPUs x bytes/s / bytes of an example"
    facts = (
        Fact("input pipeline", rate, "examples/s", decoded, "an assumption"),
        Fact(
            "host", 1e3 * predicted.host, "ms a step", "a call's / steps in a call + each step's own", "an assumption"
        ),
        Fact("step", 1e3 * predicted.step_seconds, "ms", f"{joined} device, host and input"),
    )
    factor = Fact("calibration", measured.factor, "", "measured / predicted", measured.source) if measured else None
    low, high = f"{expected.low:,.0f}", f"{expected.high:,.0f}"
    return (
        *facts,
        *((factor,) if factor else ()),
        Fact("speed", expected.examples_per_second, "examples/s", "batch / step", f"between {low} and {high}"),
        Fact("bound", expected.bound, formula="what takes most of a step"),
        Fact("epochs", job.epochs, "", f"{job.steps} steps each; patience {job.patience} may end it earlier"),
        Fact("validation", predicted.validation / cost.HOUR, "h", "forward pass over the validation split, each epoch"),
        Fact("start", expected.start_seconds / 60, "min", "machine, image, imports and compilation", "assumptions"),
        Fact("time", expected.seconds / cost.HOUR, "h", "start + steps + validation + checkpoints"),
    )


def _memory(job: Job, row: Row, expected: Estimate) -> tuple[Fact, ...]:
    needed = memory.needed(job, row, expected.precision)
    chosen = "chosen: benchmarks/planner.py measures it on a CPU"
    return (
        Fact("variables", needed.variables / GIB, "GiB", "4 bytes a parameter"),
        Fact("optimizer", needed.slots / GIB, "GiB", f"{memory.SLOTS[job.optimizer]} x 4 bytes a trained one"),
        Fact("gradients", needed.gradients / GIB, "GiB", "4 bytes a trained one"),
        Fact("activations", needed.activations / GIB, "GiB", "alive at the fullest moment, and scratch", COUNTED),
        Fact("data", needed.data / GIB, "GiB", "examples held in memory, on a CPU"),
        Fact("runtime", needed.runtime / GIB, "GiB", source=chosen),
        Fact("memory", needed.total / GIB, "GiB a chip", "the larger of gradients and activations, and the others"),
        Fact("memory of a chip", needed.limit / GIB, "GiB", source=CATALOG),
        Fact("largest batch", expected.largest_batch, "examples", "over all chips"),
    )


def _money(row: Row, expected: Estimate, assumed: Assumptions) -> tuple[Fact, ...]:
    source = f"{CATALOG}: {row.region}, {row.priced}".rstrip(", ")
    unknown = "not known"
    return (
        Fact("price", row.on_demand or unknown, "USD/h", source=source),
        Fact("cost", unknown if expected.cost is None else expected.cost, "USD", "price x time"),
        Fact("spot price", row.spot or unknown, "USD/h", source=source),
        Fact("interruptions", assumed.interruptions, "an hour on spot", source="an assumption"),
        Fact("checkpoints", expected.checkpoint_seconds / 60, "min apart", "training.checkpoint_*, an epoch at most"),
        Fact("best checkpoints", expected.best_checkpoint_seconds / 60, "min apart", "sqrt(2 d M)", "Young, 1974"),
        Fact("lost on spot", expected.lost_seconds / 60, "min", "computed twice, or restarting", "Daly, 2006"),
        Fact("time on spot", expected.spot_seconds / cost.HOUR, "h", "start + work + lost"),
        Fact("cost on spot", unknown if expected.spot_cost is None else expected.spot_cost, "USD", "spot price x time"),
    )
