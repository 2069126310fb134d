"""The training section."""

from typing import Annotated, Literal

from pydantic import Field

from components.core.config import Count, Positive, Section

# A split of up to so many bytes is held in memory, decoded. A constant, not a share of this machine's memory: the
# order of the examples, and so the result, is not the same for a split that is held and one that is streamed.
HELD_BYTES = 2**30
# About a quarter of a second of work for one call into the graph, at 0.16 TFLOP/s on a CPU and 100 times that beyond.
CALL_FLOP = {"cpu": 4e10, "gpu": 4e12, "tpu": 4e12}
MOST_STEPS_A_CALL = 50


class TrainingSettings(Section):
    """How to train. The defaults are those of the CNN tutorial that this package grew from.

    Attributes:
        batch_size: examples a step, over all devices together.
        steps_per_epoch: at most so many steps an epoch; 0 takes the whole split.
        validation_steps: at most so many validation steps an epoch; 0 takes the whole split.
        patience: epochs without a better validation loss before training stops with the best weights; 0 never stops.
        precision: ``auto`` is what the device does best.
        backend: ``auto`` is what the image provides.
        threads: threads for computing on a CPU; 0 takes all cores. Equal results are promised for equal threads only.
        checkpoint_seconds: between two checkpoints inside an epoch, 0 for none there; each epoch ends with one anyway.
        checkpoint_share: the most of the training time that writing checkpoints may take; where epochs are short, one
            is left out rather than cost more. 1 leaves none out.
        checkpoint_preemptions: interruptions expected an hour; above 0, the seconds between two checkpoints follow
            from it and from the time that writing one takes (Young, 1974), and not from ``checkpoint_seconds``.
        checkpoint_kept: how many are kept.
        augmentation: what is changed at random in each epoch, of what the task knows, such as ``flip``.
        stall_seconds: without a batch before training is ended as stalled; 0 waits for ever.
        schedule: ``cosine`` falls to 0 over all epochs after ``warmup_steps`` linear ones.
    """

    epochs: Positive = 10
    batch_size: Positive = 64
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_steps: Count = 0
    steps_per_epoch: Count = 1000
    validation_steps: Count = 500
    patience: Count = 2
    augmentation: tuple[str, ...] = ()
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = "auto"
    backend: Literal["auto", "tensorflow", "jax", "torch"] = "auto"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    threads: Count = 0
    # What begins with checkpoint or stall is no part of a result's fingerprint or key (components/core/config.py).
    checkpoint_seconds: Annotated[float, Field(ge=0)] = 60.0
    checkpoint_share: Annotated[float, Field(gt=0, le=1)] = 0.02
    checkpoint_preemptions: Annotated[float, Field(ge=0)] = 0.0
    checkpoint_kept: Positive = 2
    stall_seconds: Annotated[float, Field(ge=0)] = 600.0


def count_steps(count: int, batch_size: int, most: int, *, whole_batches: bool) -> int:
    """How many steps a split gives, ``most`` at most (0: no limit)."""
    steps = count // batch_size if whole_batches else -(-count // batch_size)
    return min(steps, most) if most else steps
