"""Suanli's own rows: one for each shape that GKE offers on one machine, and the multi-host TPU slices."""

from collections.abc import Iterator

from pipelines.hardware.catalog.chips import GPUS, TPUS, VCPU_BANDWIDTH, VCPU_FLOPS
from pipelines.hardware.catalog.machines import MACHINES
from pipelines.hardware.catalog.row import RESOURCES, Precision, Row, Taint

GPU_LABEL, TPU_LABEL = "cloud.google.com/gke-accelerator", "cloud.google.com/gke-tpu-accelerator"
TOPOLOGY_LABEL = "cloud.google.com/gke-tpu-topology"
# Distinguishes a v5e machine of eight chips from two of four, whose topology is the same.
COUNT_LABEL = "cloud.google.com/gke-accelerator-count"
# Distinguishes machines with two L4s from those with four. The count label was only seen on TPU nodes and on nodes that
# Autopilot and auto-provisioning made; this one is on every node.
MACHINE_LABEL = "node.kubernetes.io/instance-type"
PRICED = "2026"
SOURCE = (
    "shapes: AI-Hypercomputer/xpk system_characteristics.py (2026-06-25), Cloud TPU pages; "
    "prices: skypilot-org/skypilot-catalog v9 and v8 gcp/vms.csv (2026), list prices, verify before use"
)
MULTI_HOST = (
    "one task is one pod, and this slice has {} machines: it needs distributed training, which is not there yet"
)

# chip, chips of the machine, machine types with that many, of which the first one is used.
GPU_SHAPES: tuple[tuple[str, int, tuple[str, ...]], ...] = (
    ("p4", 1, ("n1-standard-8",)),
    ("p4", 2, ("n1-standard-16",)),
    ("p4", 4, ("n1-standard-32",)),
    ("p100", 1, ("n1-standard-8",)),
    ("p100", 2, ("n1-standard-16",)),
    ("p100", 4, ("n1-standard-32",)),
    ("t4", 1, ("n1-standard-8", "n1-standard-4", "n1-standard-16")),
    ("t4", 2, ("n1-standard-16", "n1-standard-8", "n1-standard-32")),
    ("t4", 4, ("n1-standard-32", "n1-standard-16")),
    ("v100", 1, ("n1-standard-8", "n1-standard-4")),
    ("v100", 2, ("n1-standard-16", "n1-standard-8")),
    ("v100", 4, ("n1-standard-32", "n1-standard-16")),
    ("v100", 8, ("n1-standard-64",)),
    ("l4", 1, ("g2-standard-8", "g2-standard-4", "g2-standard-12", "g2-standard-16", "g2-standard-32")),
    ("l4", 2, ("g2-standard-24",)),
    ("l4", 4, ("g2-standard-48",)),
    ("l4", 8, ("g2-standard-96",)),
    ("a100-40g", 1, ("a2-highgpu-1g",)),
    ("a100-40g", 2, ("a2-highgpu-2g",)),
    ("a100-40g", 4, ("a2-highgpu-4g",)),
    ("a100-40g", 8, ("a2-highgpu-8g",)),
    ("a100-40g", 16, ("a2-megagpu-16g",)),
    ("a100-80g", 1, ("a2-ultragpu-1g",)),
    ("a100-80g", 2, ("a2-ultragpu-2g",)),
    ("a100-80g", 4, ("a2-ultragpu-4g",)),
    ("a100-80g", 8, ("a2-ultragpu-8g",)),
    ("h100", 1, ("a3-highgpu-1g",)),
    ("h100", 2, ("a3-highgpu-2g",)),
    ("h100", 4, ("a3-highgpu-4g",)),
    ("h100", 8, ("a3-highgpu-8g",)),
    ("h100-mega", 8, ("a3-megagpu-8g",)),
    ("h200", 8, ("a3-ultragpu-8g",)),
    ("b200", 8, ("a4-highgpu-8g",)),
    ("rtx-pro-6000", 1, ("g4-standard-48",)),
    ("rtx-pro-6000", 2, ("g4-standard-96",)),
    ("rtx-pro-6000", 4, ("g4-standard-192",)),
    ("rtx-pro-6000", 8, ("g4-standard-384",)),
)
# chip -> (topology, chips, machines, machine type). Names count chips; Google's own v4 and v5p names count TensorCores.
TPU_SLICES: dict[str, tuple[tuple[str, int, int, str], ...]] = {
    "v4": (
        ("2x2x1", 4, 1, "ct4p-hightpu-4t"),
        ("2x2x2", 8, 2, "ct4p-hightpu-4t"),
        ("2x2x4", 16, 4, "ct4p-hightpu-4t"),
        ("2x4x4", 32, 8, "ct4p-hightpu-4t"),
        ("4x4x4", 64, 16, "ct4p-hightpu-4t"),
    ),
    "v5e": (
        ("1x1", 1, 1, "ct5lp-hightpu-1t"),
        ("2x2", 4, 1, "ct5lp-hightpu-4t"),
        ("2x4", 8, 1, "ct5lp-hightpu-8t"),
        ("4x4", 16, 4, "ct5lp-hightpu-4t"),
        ("4x8", 32, 8, "ct5lp-hightpu-4t"),
        ("8x8", 64, 16, "ct5lp-hightpu-4t"),
        ("8x16", 128, 32, "ct5lp-hightpu-4t"),
        ("16x16", 256, 64, "ct5lp-hightpu-4t"),
    ),
    "v5p": (
        ("2x2x1", 4, 1, "ct5p-hightpu-4t"),
        ("2x2x2", 8, 2, "ct5p-hightpu-4t"),
        ("2x2x4", 16, 4, "ct5p-hightpu-4t"),
        ("2x4x4", 32, 8, "ct5p-hightpu-4t"),
        ("4x4x4", 64, 16, "ct5p-hightpu-4t"),
    ),
    "v6e": (
        ("1x1", 1, 1, "ct6e-standard-1t"),
        ("2x2", 4, 1, "ct6e-standard-4t"),
        ("2x4", 8, 1, "ct6e-standard-8t"),
        ("4x4", 16, 4, "ct6e-standard-4t"),
        ("4x8", 32, 8, "ct6e-standard-4t"),
        ("8x8", 64, 16, "ct6e-standard-4t"),
        ("8x16", 128, 32, "ct6e-standard-4t"),
        ("16x16", 256, 64, "ct6e-standard-4t"),
    ),
}
CPU_SIZES = (4, 8, 16, 32)
GPU_TAINT, TPU_TAINT = Taint(key=RESOURCES["gpu"]), Taint(key=RESOURCES["tpu"])


def rows() -> Iterator[Row]:
    """Every row, CPUs first, then GPUs and TPUs from the oldest to the newest."""
    yield from (_cpu(size) for size in CPU_SIZES)
    yield from (_gpu(*shape) for shape in GPU_SHAPES)
    yield from (_tpu(chip, *slice_) for chip, slices in TPU_SLICES.items() for slice_ in slices)


def _cpu(vcpus: int) -> Row:
    name = f"e2-standard-{vcpus}"
    machine = MACHINES[name]
    return Row(
        name=f"cpu-{vcpus}",
        kind="cpu",
        chip="e2",
        machine_types=(name,),
        labels={MACHINE_LABEL: name},
        image="cpu",
        vcpus=vcpus,
        memory_gib=machine.memory_gib,
        chip_memory_gib=0,
        peak={"float32": vcpus * VCPU_FLOPS},
        bandwidth=vcpus * VCPU_BANDWIDTH,
        precisions=("float32",),
        on_demand=machine.on_demand,
        spot=machine.spot,
        region="us-central1",
        priced=PRICED,
        source=SOURCE,
    )


def _gpu(chip: str, count: int, machine_types: tuple[str, ...]) -> Row:
    facts, machine = GPUS[chip], MACHINES[machine_types[0]]
    precisions: tuple[Precision, ...] = ("float32", "mixed_bfloat16", "mixed_float16")
    return Row(
        name=chip if count == 1 else f"{chip}x{count}",
        kind="gpu",
        chip=chip,
        count=count,
        machine_types=machine_types,
        labels={GPU_LABEL: facts.label, MACHINE_LABEL: machine_types[0]},
        taints=(GPU_TAINT,),
        image="gpu",
        vcpus=machine.vcpus,
        memory_gib=machine.memory_gib,
        chip_memory_gib=facts.memory_gib,
        peak=facts.peak,
        bandwidth=facts.bandwidth,
        link=facts.link if count > 1 else 0,
        precisions=tuple(name for name in precisions if name in facts.peak),
        on_demand=together(count, facts.usd[0], machine.on_demand),
        spot=together(count, facts.usd[1], machine.spot),
        region=facts.region,
        priced=PRICED,
        source=SOURCE,
    )


def _tpu(chip: str, topology: str, chips: int, hosts: int, machine_type: str) -> Row:
    facts, machine = TPUS[chip], MACHINES[machine_type]
    on_each = chips // hosts
    return Row(
        name=f"{chip}-{chips}",
        kind="tpu",
        chip=chip,
        count=on_each,
        hosts=hosts,
        topology=topology,
        machine_types=(machine_type,),
        labels={TPU_LABEL: facts.label, TOPOLOGY_LABEL: topology, COUNT_LABEL: str(on_each)},
        taints=(TPU_TAINT,),
        image="tpu",
        vcpus=machine.vcpus,
        memory_gib=machine.memory_gib,
        chip_memory_gib=facts.memory_gib,
        peak=facts.peak,
        bandwidth=facts.bandwidth,
        link=facts.link if chips > 1 else 0,
        precisions=("float32", "mixed_bfloat16"),
        on_demand=together(chips, facts.usd[0], 0.0),
        spot=together(chips, facts.usd[1], 0.0),
        region=facts.region,
        priced=PRICED,
        source=SOURCE,
        refused=MULTI_HOST.format(hosts) if hosts > 1 else "",
    )


def together(count: int, chip: float | None, machine: float | None) -> float | None:
    """The price of chips and machine; None if either is not known."""
    return None if chip is None or machine is None else round(count * chip + machine, 4)
