"""One row of the catalog: an accelerator shape that a pod can ask for, and all that follows from it."""

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal["cpu", "gpu", "tpu"]
Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]
Price = Annotated[float, Field(gt=0)]

RESOURCES: dict[str, str] = {"cpu": "", "gpu": "nvidia.com/gpu", "tpu": "google.com/tpu"}
SPOT_LABEL = "cloud.google.com/gke-spot"
CLASS_LABEL = "cloud.google.com/compute-class"
# Requests of a node's own pods (drivers, logging, metrics): a share of the machine, and cores on top.
DAEMONS_SHARE, DAEMONS_CORES = 0.1, 0.3


class Taint(BaseModel):
    """A taint of a node pool, and its toleration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    value: str = "present"
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] = "NoSchedule"

    def toleration(self) -> dict[str, str]:
        return {"key": self.key, "operator": "Exists", "effect": self.effect}


class Row(BaseModel):
    """An accelerator shape.

    Attributes:
        name: what a user types: ``l4``, ``h100x8``, ``v5e-4`` (chips), ``cpu-8`` (vCPUs).
        kind: ``cpu``, ``gpu`` or ``tpu``.
        chip: the product, as people call it.
        count: chips that a pod asks for: all chips of the machine.
        hosts: machines; more than one in a multi-host slice.
        topology: a TPU slice's topology, such as ``2x4``.
        machine_types: Compute Engine machine types that have this shape; the first one is used.
        labels: node labels that select the pool.
        taints: of the pool.
        image: the image that runs there.
        vcpus: of one machine.
        memory_gib: of one machine.
        chip_memory_gib: of one chip; 0 for a CPU, whose memory is the machine's.
        peak: dense FLOP/s of one chip (for a CPU: of the machine) by number format: ``float32``, ``tf32``,
            ``mixed_bfloat16``, ``mixed_float16``. No sparsity.
        bandwidth: bytes/s of one chip's memory.
        link: bytes/s between the chips of a machine, each chip's both directions together; 0 for one chip.
        precisions: Keras's dtype policies that the hardware has units for.
        on_demand: list price in USD an hour, of all machines together, their chips included.
        spot: the same for spot capacity.
        region: of these prices.
        priced: the date of these prices.
        source: of prices and shape.
        refused: why nothing can be submitted to it, if so.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
    kind: Kind
    chip: str
    count: Annotated[int, Field(ge=1)] = 1
    hosts: Annotated[int, Field(ge=1)] = 1
    topology: str = ""
    machine_types: tuple[str, ...]
    labels: dict[str, str]
    taints: tuple[Taint, ...] = ()
    image: Kind
    vcpus: Annotated[int, Field(ge=1)]
    memory_gib: Annotated[float, Field(gt=0)]
    chip_memory_gib: Annotated[float, Field(ge=0)]
    peak: dict[str, Price]
    bandwidth: Price
    link: Annotated[float, Field(ge=0)] = 0.0
    precisions: tuple[Precision, ...]
    on_demand: Price | None = None
    spot: Price | None = None
    region: str = ""
    priced: str = ""
    source: str = ""
    refused: str = ""

    @property
    def resource(self) -> str:
        """The Kubernetes resource to ask for: ``nvidia.com/gpu``, ``google.com/tpu``, or empty for a CPU."""
        return RESOURCES[self.kind]

    @property
    def request_millicores(self) -> int:
        """CPU of the largest pod that fits the machine: what is allocatable, less the node's own pods."""
        cores = allocatable_cores(self.vcpus) * (1 - DAEMONS_SHARE) - DAEMONS_CORES
        return max(100, math.floor(cores * 10) * 100)

    @property
    def request_gib(self) -> int:
        """Memory of the largest pod that fits the machine."""
        return max(1, math.floor(allocatable_gib(self.memory_gib) * (1 - DAEMONS_SHARE)))

    @property
    def requests(self) -> tuple[str, str]:
        """CPU and memory of that pod as Kubernetes quantities."""
        return f"{self.request_millicores}m", f"{self.request_gib}Gi"

    def flops(self, precision: str) -> float:
        """Dense FLOP/s of one chip for matrix products in a precision, as the frameworks use it.

        TensorFlow and JAX compute float32 products in TF32 where a GPU has it, and TPUs in one bfloat16 pass.

        Raises:
            KeyError: the chip has no units for it.
        """
        if precision == "float32":
            if self.kind == "tpu":
                return self.peak["mixed_bfloat16"]
            return self.peak.get("tf32", self.peak["float32"])
        return self.peak[precision]

    def price(self, spot: bool) -> float | None:
        """USD an hour."""
        return self.spot if spot else self.on_demand

    def record(self) -> dict[str, Any]:
        """The row as plain JSON values, with resource, requests and tolerations."""
        cpu, memory = self.requests
        return {
            **self.model_dump(mode="json"),
            "resource": self.resource,
            "requests": {"cpu": cpu, "memory": memory},
            "tolerations": [taint.toleration() for taint in self.taints],
        }


def allocatable_cores(vcpus: float) -> float:
    """vCPUs that GKE leaves to pods.

    Source: GKE, "Plan node sizes": 6% of the first core, 1% of the second, 0.5% of the next two, 0.25% of the others.
    """
    steps = ((1, 0.06), (1, 0.01), (2, 0.005), (math.inf, 0.0025))
    return vcpus - _stepped(vcpus, steps)


def allocatable_gib(memory_gib: float) -> float:
    """Memory in GiB that GKE leaves to pods.

    Source: GKE, "Plan node sizes": 25% of the first 4 GiB, 20% of the next 4, 10% of the next 8, 6% of the next 112,
    2% of the rest, and 100 MiB for eviction.
    """
    steps = ((4, 0.25), (4, 0.2), (8, 0.1), (112, 0.06), (math.inf, 0.02))
    return memory_gib - _stepped(memory_gib, steps) - 100 / 1024


def _stepped(amount: float, steps: tuple[tuple[float, float], ...]) -> float:
    total = 0.0
    for width, share in steps:
        total += min(amount, width) * share
        amount = max(0.0, amount - width)
    return total
