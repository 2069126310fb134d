"""How long a whole training takes on a row, and what limits it: the step, the input, or the host's own time."""

from dataclasses import dataclass

from components.train.settings import EXECUTION_FLOP, IN_MEMORY_BYTES, MAX_STEPS_PER_EXECUTION
from pipelines.hardware.catalog.row import Row
from pipelines.hardware.planner import throughput
from pipelines.hardware.planner.jobs import Job
from pipelines.hardware.planner.throughput import Chip, Step

# Encoded examples that one vCPU decodes, resizes and augments in a second: measured with JPEG images of about 500 x
# 375, of which a fast core of 2023 managed 540 in a CPU second; a vCPU is half a core. Others report 100 to 150.
DECODED = 200.0
# Bytes of raw examples that one vCPU reads, parses and batches in a second (160 to 216 thousand of 3 kB on two cores:
# benchmarks/reading.py), and that it gathers if the split is held in memory.
PARSED, GATHERED = 0.25e9, 1.0e9
# Assumptions: seconds of Python for one call of the training function (dispatch, callbacks, fetching metrics), and of
# TensorFlow's executor and iterator for each of its steps. On a CPU the kernel launches cover the latter.
HOST_SECONDS = {"tensorflow": 2.5e-3, "jax": 3e-3}
STEP_SECONDS = {"cpu": 0.0, "gpu": 1e-3, "tpu": 0.0}
# Assumptions: the start of a machine in an autoscaled pool, the pull of the image, the imports and opening the data.
NODE_SECONDS = {"cpu": 60.0, "gpu": 180.0, "tpu": 180.0}
PULL_SECONDS = {"cpu": 40.0, "gpu": 120.0, "tpu": 60.0}
OPEN_SECONDS = 30.0
# Seconds to compile a fused kernel, including its share of autotuning (20 to 120 s for a model).
COMPILE_SECONDS = {"cpu": 0.0, "gpu": 0.1, "tpu": 0.1}


@dataclass(frozen=True)
class Duration:
    """The duration of a training on a row.

    Attributes:
        step: of the device.
        host: seconds of Python for each step.
        input: seconds to prepare a batch.
        step_seconds: of one step, device, host and input together.
        rate: examples a second.
        bound: what takes most of a step.
        validation: seconds of all validation.
        work: seconds of all epochs, validation included.
        start: seconds until the first step.
    """

    step: Step
    host: float
    input: float
    step_seconds: float
    rate: float
    bound: str
    validation: float
    work: float
    start: float


def predict(job: Job, row: Row, precision: str, factor: float = 1.0, start: float | None = None) -> Duration:
    """The duration of a training.

    Args:
        factor: of a calibration: measured divided by predicted rate.
        start: seconds until the first step; None for the planner's own estimate.
    """
    step = throughput.step(job.profile, precision, job.batch_size, Chip.from_row(row, precision), job.optimizer)
    host, feed = host_seconds(job, row, precision), job.batch_size / input_rate(job, row)
    # An accelerator computes while the host prepares the next batch; a CPU does one after the other.
    seconds = step.seconds + host + feed if row.kind == "cpu" else max(step.seconds, host, feed)
    seconds /= factor
    traced = job.profile.step(precision)
    share = traced.forward_flops.each / max(traced.flops.each, 1.0)
    validation = job.epochs * job.validation_steps * max(seconds * share, feed)
    return Duration(
        step=step,
        host=host,
        input=feed,
        step_seconds=seconds,
        rate=job.batch_size / seconds,
        bound=bound(step, host, feed, row.kind),
        validation=validation,
        work=job.epochs * job.steps * seconds + validation,
        start=start_seconds(job, row, precision) if start is None else start,
    )


def bound(step: Step, host: float, feed: float, kind: str) -> str:
    """What takes most of a step's time."""
    device = {
        "compute": step.compute,
        "memory bandwidth": step.memory,
        "step overhead": step.launch + (host if kind == "cpu" else 0.0),
        "all-reduce": step.exchange,
    }
    if kind == "cpu":
        device["input pipeline"] = feed
    elif max(host, feed) > step.seconds:
        return "step overhead" if host >= feed else "input pipeline"
    return max(device, key=lambda name: device[name])


def input_rate(job: Job, row: Row) -> float:
    """Examples a second that the host's processors prepare."""
    vcpus = row.request_millicores / 1000
    if job.encoded:
        return vcpus * DECODED
    rate = GATHERED if job.total_bytes <= IN_MEMORY_BYTES else PARSED
    return vcpus * rate / job.input_bytes


def host_seconds(job: Job, row: Row, precision: str) -> float:
    """The host's seconds of one step: its share of a call, and its own."""
    call = HOST_SECONDS.get(backend_of(job, row), HOST_SECONDS["jax"])
    return call / steps_per_execution(job, row, precision) + STEP_SECONDS[row.kind]


def backend_of(job: Job, row: Row) -> str:
    """The backend of the training: the job's, or what the row's image provides."""
    return job.backend if job.backend != "auto" else "jax" if row.kind == "tpu" else "tensorflow"


def steps_per_execution(job: Job, row: Row, precision: str) -> int:
    """Steps per execution, as ``components/train/compiling.py`` chooses them."""
    if backend_of(job, row) != "tensorflow" or row.count > 1:
        return 1
    flops = job.profile.step(precision).flops.at(job.batch_size)
    return max(1, min(MAX_STEPS_PER_EXECUTION, job.steps // 4, int(EXECUTION_FLOP[row.kind] / max(flops, 1.0))))


def start_seconds(job: Job, row: Row, precision: str) -> float:
    """Seconds from the submission until the first step: machine, image, imports, compilation."""
    kernels = sum(kernel.count for kernel in throughput.kernels(job.profile.step(precision), row.kind))
    compiled = kernels * COMPILE_SECONDS[row.kind]
    return NODE_SECONDS[row.kind] + PULL_SECONDS[row.kind] + OPEN_SECONDS + min(compiled, 300.0)
