"""A small profile made by hand, and a job on it, for tests of the planner that need no TensorFlow."""

from dataclasses import replace

from components.profile import Kernel, Profile, Size, Traced
from components.train.checkpoint_timer import CheckpointInterval
from pipelines.hardware.planner.jobs import Job

KERNELS = (
    Kernel("conv", 3, Size(0, 2e9), Size(1e6, 4e6), (64, 576)),
    Kernel("memory", 10, Size(), Size(1e4, 4e6)),
    Kernel("matmul", 1, Size(0, 1e7), Size(8e6, 1e4), (1000, 512)),
)
STEP = Traced(
    forward_flops=Size(0, 2e9),
    flops=Size(0, 6.01e9),
    fused=KERNELS,
    single=KERNELS,
    kept=Size(0, 20e6),
    peak=Size(1e6, 24e6),
    peak_fused=Size(1e6, 22e6),
)
PROFILE = Profile("small", (64, 64, 3), "uint8", 64 * 64 * 3, 5_000_000, 5_000_000, {"float32": STEP, "mixed": STEP})
JOB = Job(
    experiment="small",
    profile=PROFILE,
    precision="auto",
    backend="auto",
    batch_size=256,
    optimizer="adam",
    steps=1000,
    validation_steps=10,
    epochs=20,
    patience=0,
    examples=256_000,
    encoded=False,
    checkpoints=CheckpointInterval(seconds=60.0, share=0.02, preemptions=0.0),
)


def job(**changes: object) -> Job:
    """The job with some of its fields changed."""
    return replace(JOB, **changes)  # type: ignore[arg-type]
