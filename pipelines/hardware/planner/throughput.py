"""How long a training step takes: a roofline over the step's kernels, the optimizer, and the exchange of gradients.

A kernel's arithmetic takes its FLOPs over the share of the chip's peak that its kind reaches, its traffic its bytes
over the share of the memory bandwidth (Williams, Waterman and Patterson, "Roofline", CACM 52(4), 2009); the two overlap
in part. A step is the sum of its kernels, each with a launch.
"""

import math
from dataclasses import dataclass

from components.profile import Kernel, Profile, Traced
from pipelines.hardware.catalog.row import Row
from pipelines.hardware.planner.efficiency import EFFICIENCIES, SUSTAINED, Efficiency, mostly_products

# Numbers read and written for each trained weight: weight, gradient and slots read, weight and slots written.
OPTIMIZER_PASSES = {"adam": 7, "adamw": 7, "sgd": 5}
FLOAT = 4


@dataclass(frozen=True)
class Chip:
    """The chips of a row, for one number format.

    Attributes:
        kind: ``cpu``, ``gpu`` or ``tpu``.
        unit: the format in which products are computed: ``float32``, ``tf32`` or ``half``.
        flops: dense FLOP/s for products.
        bandwidth: bytes/s of its memory.
        count: chips that share a step.
        link: bytes/s between them, each chip's both directions together.
    """

    kind: str
    unit: str
    flops: float
    bandwidth: float
    count: int = 1
    link: float = 0.0

    @classmethod
    def from_row(cls, row: Row, precision: str) -> "Chip":
        """A row's chips in a Keras dtype policy."""
        unit = "float32" if precision == "float32" else "half"
        if unit == "float32" and row.kind != "cpu":
            unit = "half" if row.kind == "tpu" else "tf32" if "tf32" in row.peak else "float32"
        clock, traffic = SUSTAINED.get(row.chip, (1.0, 1.0))
        return cls(
            row.kind, unit, row.flops(precision) * clock, row.bandwidth * traffic, row.count * row.hosts, row.link
        )


@dataclass(frozen=True)
class Step:
    """Seconds of one training step on the device, by their use.

    Attributes:
        compute: kernels that arithmetic bounds.
        memory: kernels that memory bandwidth bounds, the optimizer's included.
        launch: starting kernels.
        exchange: all-reduce of the gradients.
        examples: in the step, over all chips.
    """

    compute: float
    memory: float
    launch: float
    exchange: float
    examples: float

    @property
    def seconds(self) -> float:
        return self.compute + self.memory + self.launch + self.exchange

    @property
    def rate(self) -> float:
        """Examples a second, if input and host are never late."""
        return self.examples / self.seconds


def step(
    profile: Profile,
    precision: str,
    batch: float,
    chip: Chip,
    optimizer: str = "adam",
    efficiency: Efficiency | None = None,
) -> Step:
    """One step with a global batch, divided evenly among the chips.

    Args:
        efficiency: in place of that of the chip's kind.
    """
    reached = efficiency or EFFICIENCIES[chip.kind]
    traced, share = profile.step(precision), batch / chip.count
    bandwidth = reached.bandwidth(chip.bandwidth, mostly_products(traced))
    compute = memory = launch = 0.0
    for kernel in kernels(traced, chip.kind):
        arithmetic, traffic = kernel_seconds(kernel, share, chip, reached, bandwidth)
        launch += kernel.count * reached.launch
        both = kernel.count * norm(arithmetic, traffic, reached.overlap)
        if arithmetic >= traffic:
            compute += both
        else:
            memory += both
    memory += OPTIMIZER_PASSES[optimizer] * FLOAT * profile.trainable / bandwidth
    return Step(compute, memory, launch, all_reduce(profile, chip, reached), batch)


def kernels(traced: Traced, kind: str) -> tuple[Kernel, ...]:
    """The kernels that a kind of device runs: Keras compiles with XLA on GPUs and TPUs, not on a CPU."""
    return traced.single if kind == "cpu" else traced.fused


def kernel_seconds(
    kernel: Kernel, batch: float, chip: Chip, efficiency: Efficiency, bandwidth: float
) -> tuple[float, float]:
    """Seconds of arithmetic and of traffic of one launch, for the batch of one chip."""
    slow = efficiency.depthwise if kernel.kind == "depthwise" else 1.0
    traffic = kernel.bytes.at(batch) / (bandwidth * slow)
    flops = kernel.flops.at(batch)
    if not flops:
        return 0.0, traffic
    used = tile_utilization(kernel.sides, efficiency.tile.get(chip.unit, 1))
    return flops / (chip.flops * efficiency.product(kernel.kind, chip.unit) * used), traffic


def norm(arithmetic: float, traffic: float, p: float) -> float:
    """The p-norm of two durations that overlap in part."""
    if not arithmetic or not traffic or p == 1.0:
        return arithmetic + traffic
    most, least = max(arithmetic, traffic), min(arithmetic, traffic)
    return float(most * (1.0 + (least / most) ** p) ** (1.0 / p))


def tile_utilization(sides: tuple[int, int], tile: int) -> float:
    """The share of the matrix unit's tiles that the two fixed sides of a product fill."""
    share = 1.0
    for side in sides:
        if side:
            share *= side / (math.ceil(side / tile) * tile)
    return share


def all_reduce(profile: Profile, chip: Chip, efficiency: Efficiency) -> float:
    """Seconds of a ring all-reduce of float32 gradients: each chip sends and receives 2 (n - 1) / n of them.

    Source: Patarasuk and Yuan, "Bandwidth optimal all-reduce algorithms", JPDC 69(2), 2009.
    """
    if chip.count == 1:
        return 0.0
    sent = 2 * (chip.count - 1) / chip.count * FLOAT * profile.trainable
    return sent / (chip.link / 2 * efficiency.exchange)
