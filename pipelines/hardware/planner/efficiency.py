"""The fitted numbers of the planner: the share of its peaks that a kind of device reaches."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from components.profile import Traced

# The bandwidth at which ``Efficiency.memory`` holds; see ``Efficiency.narrowing``.
REFERENCE = 1e12
# Shares of the catalog's FLOP/s and bytes/s that a chip sustains. Cards of 70 to 75 W do not sustain their peak clocks,
# by the few published speeds. The CPU's efficiencies below are relative to a probe's results: about 0.8 of the
# theoretical FLOP/s, and four times a vCPU's share of the memory bandwidth, since much of the traffic stays in caches.
SUSTAINED = {"t4": (0.75, 0.75), "p4": (0.75, 0.75), "l4": (0.85, 0.85), "e2": (0.8, 4.0)}


@dataclass(frozen=True)
class Efficiency:
    """A kind of device.

    Attributes:
        conv: share of the peak FLOP/s that convolutions reach, by the units' format: ``float32`` (vector units),
            ``tf32``, ``half`` (16 bits).
        matmul: the same for matrix products.
        memory: share of the memory's bandwidth that kernels of a convolutional network reach, up to 1 TB/s.
        products_memory: the same for a network of matrix products.
        narrowing: at k TB/s beyond that, the share is multiplied by k^-narrowing.
        depthwise: bandwidth of depthwise convolutions, as a share of the other kernels'.
        winograd: how much faster convolutions of 3 x 3 are on vector units than by their FLOPs.
        launch: seconds to start a kernel.
        overlap: p of the p-norm of a kernel's arithmetic and traffic: 1 adds them, infinity takes the longer.
        exchange: share of the link's bandwidth that an all-reduce reaches.
        tile: side of the matrix unit's tile.
        spread: most held-out cases are within this factor, up or down.
        source: of the numbers.
    """

    conv: Mapping[str, float]
    matmul: Mapping[str, float]
    memory: float
    products_memory: float
    depthwise: float
    launch: float
    narrowing: float = 0.0
    winograd: float = 1.0
    overlap: float = 1.0
    exchange: float = 0.5
    tile: Mapping[str, int] = field(default_factory=dict)
    spread: float = 1.35
    source: str = ""

    def product(self, kind: str, unit: str) -> float:
        """Share of the peak that a kind of product reaches on a kind of unit."""
        if kind == "matmul":
            return self.matmul[unit]
        return self.conv[unit] * (self.winograd if kind == "winograd" and unit == "float32" else 1.0)

    def bandwidth(self, peak: float, products: bool) -> float:
        """Bytes/s that kernels reach on a memory of such a peak."""
        share = self.products_memory if products else self.memory
        return float(peak * share * max(1.0, peak / REFERENCE) ** -self.narrowing)

    def record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def mostly_products(traced: Traced) -> bool:
    """Whether most of a step's arithmetic is matrix products, counted in the model's graph."""
    products = sum(kernel.count * kernel.flops.each for kernel in traced.fused if kernel.kind == "matmul")
    return products > 0.5 * traced.flops.each


FITTED = "fitted on published training speeds, benchmarks/published.toml, by benchmarks/planner.py"
EFFICIENCIES = {
    "gpu": Efficiency(
        conv={"float32": 0.55, "tf32": 0.33, "half": 0.9},
        matmul={"float32": 0.77, "tf32": 0.9, "half": 0.9},
        memory=0.83,
        products_memory=0.67,
        narrowing=0.3,
        depthwise=0.18,
        launch=5e-6,
        winograd=2.5,
        tile={"float32": 32, "tf32": 64, "half": 64},
        spread=1.35,
        source=FITTED,
    ),
    # A share of the memory bandwidth above 1: XLA for TPUs fuses normalization into convolutions, so less is moved than
    # counted.
    "tpu": Efficiency(
        conv={"half": 0.9},
        matmul={"half": 0.65},
        memory=1.5,
        products_memory=1.0,
        depthwise=0.17,
        launch=2e-6,
        overlap=2.0,
        tile={"half": 128},
        spread=1.5,
        source=FITTED,
    ),
    # Shares of the probe's result on this machine; for the catalog's machines, of the estimate in the catalog.
    "cpu": Efficiency(
        conv={"float32": 1.2, "half": 1.0},
        matmul={"float32": 1.0, "half": 1.0},
        memory=0.4,
        products_memory=0.4,
        depthwise=0.5,
        launch=1.5e-5,
        overlap=2.0,
        spread=1.35,
        source="fitted on four networks trained on two cores, benchmarks/planner.py",
    ),
}
