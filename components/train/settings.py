"""The training section."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from components.core.config import Count, Positive, Section

# A split of at most so many bytes is read into memory, decoded. It is a constant and not a share of the machine's
# memory, because the order of the examples, and so the result, differs between a split in memory and one that is
# streamed.
IN_MEMORY_BYTES = 2**30
# The work of one execution of the graph: about a quarter of a second at 0.16 TFLOP/s on a CPU, and at 100 times that
# on an accelerator.
EXECUTION_FLOP = {"cpu": 4e10, "gpu": 4e12, "tpu": 4e12}
MAX_STEPS_PER_EXECUTION = 50


def _table(value: Any) -> Any:
    """A table that was typed as ``one:2,two:3``."""
    if isinstance(value, str) and ":" in value:
        return dict(part.strip().rpartition(":")[::2] for part in value.split(","))
    return value


class TrainingSettings(Section):
    """How to train. The defaults are those of the CNN tutorial that this package grew from.

    Attributes:
        epochs: the most passes over the training split.
        batch_size: examples per step, over all devices.
        learning_rate: the largest one, which ``schedule`` may lower.
        optimizer: Keras's; ``sgd`` with momentum 0.9.
        weight_decay: decoupled from the loss; biases and normalization are left out.
        steps_per_epoch: the most steps per epoch; 0 for the whole split.
        validation_steps: the most validation steps per epoch; 0 for the whole split.
        patience: epochs without a better validation loss after which training stops with the best weights; 0 never
            stops early.
        augmentation: random changes in each epoch, of those that the task knows, such as ``flip``.
        class_weight: what the loss of an example counts by its class, for classifiers: ``balanced`` gives every class
            the same sum (examples / classes / examples of the class, as scikit-learn's), a table such as
            ``spam:5,ham:1`` names classes, and the others count 1.
        schedule: ``cosine`` decays to 0 over all epochs, after ``warmup_steps`` of linear warm-up.
        warmup_steps: steps in which the learning rate grows from 0.
        precision: ``auto`` is the best for the device.
        backend: ``auto`` is the one of the image.
        seed: of weights, shuffling, augmentation and dropout.
        threads: threads for computing on a CPU; 0 for all cores. Equal results need equal numbers of threads.
        checkpoint_seconds: seconds between two checkpoints within an epoch; 0 for none there. Each epoch ends with one
            in any case.
        checkpoint_share: the largest share of the training time that writing checkpoints may take; if epochs are
            short, some end without one. 1 writes all of them.
        checkpoint_preemptions: interruptions expected per hour; above 0 it replaces ``checkpoint_seconds``: the
            interval follows from it and from the time to write a checkpoint (Young, 1974).
        checkpoint_kept: number of checkpoints to keep.
        stall_seconds: seconds without a batch after which training ends as stalled; 0 never ends it.
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
    class_weight: Annotated[
        Literal["none", "balanced"] | dict[str, Annotated[float, Field(gt=0)]], BeforeValidator(_table)
    ] = "none"
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = "auto"
    backend: Literal["auto", "tensorflow", "jax", "torch"] = "auto"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    threads: Count = 0
    # Settings named checkpoint_* and stall_* are not part of a fingerprint or cache key (components/core/config.py).
    checkpoint_seconds: Annotated[float, Field(ge=0)] = 60.0
    checkpoint_share: Annotated[float, Field(gt=0, le=1)] = 0.02
    checkpoint_preemptions: Annotated[float, Field(ge=0)] = 0.0
    checkpoint_kept: Positive = 2
    stall_seconds: Annotated[float, Field(ge=0)] = 600.0


def count_steps(count: int, batch_size: int, limit: int, *, whole_batches: bool) -> int:
    """The number of steps for ``count`` examples, at most ``limit`` (0: no limit)."""
    steps = count // batch_size if whole_batches else -(-count // batch_size)
    return min(steps, limit) if limit else steps
