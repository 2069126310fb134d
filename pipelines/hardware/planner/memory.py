"""The memory that a job needs on a chip, and the largest batch that fits."""

from dataclasses import dataclass

from components.profile import Profile
from components.train.settings import IN_MEMORY_BYTES
from pipelines.hardware.catalog.row import Row
from pipelines.hardware.planner.jobs import Job

GIB = 2**30
FLOAT = 4
SLOTS = {"adam": 2, "adamw": 2, "sgd": 1}
# Memory of the runtime itself (CUDA's context, the libraries' workspaces; on a CPU the interpreter and TensorFlow), and
# the share of activations that fragmentation and the scratch space of convolutions add. Measured on a CPU
# (benchmarks/planner.py); an assumption on GPUs and TPUs.
RUNTIME = {"cpu": 0.75 * GIB, "gpu": 1.0 * GIB, "tpu": 0.4 * GIB}
# On a CPU tracing and compiling leave memory in use: a constant for any model, and more for each operation of its step.
TRACED, TRACED_OPERATION = 56 * 2**20, 0.155 * 2**20
SCRATCH = {"cpu": 0.2, "gpu": 0.2, "tpu": 0.2}


@dataclass(frozen=True)
class Memory:
    """Bytes on one chip.

    Attributes:
        variables: weights, trained or not, float32.
        slots: of the optimizer.
        gradients: one for each trained weight, float32.
        activations: at the peak of a step, 16-bit copies of weights included.
        data: examples held in memory, on a CPU only; elsewhere the host holds them.
        runtime: reserved for the runtime.
        limit: memory of the chip.
    """

    variables: float
    slots: float
    gradients: float
    activations: float
    data: float
    runtime: float
    limit: float

    @property
    def total(self) -> float:
        """The sum: gradients replace activations that are no longer needed."""
        return self.variables + self.slots + max(self.gradients, self.activations) + self.data + self.runtime


def needed(job: Job, row: Row, precision: str, batch: int | None = None) -> Memory:
    """The memory that one chip of a row needs for a global batch, by default the job's."""
    profile, kind = job.profile, row.kind
    chips = row.count * row.hosts
    share = (job.batch_size if batch is None else batch) / chips
    return Memory(
        variables=FLOAT * profile.parameters,
        slots=SLOTS[job.optimizer] * FLOAT * profile.trainable,
        gradients=FLOAT * profile.trainable,
        activations=activations(profile, precision, kind, share) + share * job.input_bytes,
        data=min(job.total_bytes, IN_MEMORY_BYTES) if kind == "cpu" and job.total_bytes <= IN_MEMORY_BYTES else 0.0,
        runtime=RUNTIME[kind] + (traced(profile, precision) if kind == "cpu" else 0.0),
        limit=limit(row),
    )


def traced(profile: Profile, precision: str) -> float:
    """Bytes of the host's memory for the traced step."""
    return TRACED + TRACED_OPERATION * sum(kernel.count for kernel in profile.step(precision).single)


def activations(profile: Profile, precision: str, kind: str, share: float) -> float:
    """Bytes alive at the peak of a step for a chip's share of the batch, scratch space included."""
    step = profile.step(precision)
    peak = step.peak if kind == "cpu" else step.peak_fused
    return peak.at(share) * (1 + SCRATCH[kind])


def limit(row: Row) -> float:
    """Bytes of one chip's memory; for a CPU the largest request of a pod on the machine."""
    if row.kind == "cpu":
        return float(row.request_gib * GIB)
    return row.chip_memory_gib * GIB


def largest_batch(job: Job, row: Row, precision: str) -> int:
    """The largest global batch that fits, a multiple of the chips; 0 if not even one example a chip fits."""
    chips = row.count * row.hosts
    empty = needed(job, row, precision, 0)
    free = empty.limit - empty.runtime - empty.variables - empty.slots - empty.data
    if free < empty.gradients:
        return 0
    example = activations(job.profile, precision, row.kind, 1) + job.input_bytes - empty.activations
    return max(0, int((free - empty.activations) / example)) * chips
