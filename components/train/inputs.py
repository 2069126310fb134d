"""The input of ``model.fit``: one epoch of a split, in an order that depends only on the seed and the epoch."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf

from components.core.devices import cpu_count
from components.core.examples import PreparedData
from components.train.settings import IN_MEMORY_BYTES

READ_BATCH = 1024


@dataclass(frozen=True)
class Split:
    """One split of the prepared data.

    Attributes:
        count: its number of examples.
        spec: TensorFlow's specification of a batch of inputs and targets.
        input_fn: from a batch of parsed examples to inputs and targets; the task's.
        augment: changes inputs and targets at random; the task's.
        in_memory: all its inputs and targets; None if they are read from files.
        class_weights: what an example of each class counts in the loss, [classes]; None for equal ones.
    """

    examples: PreparedData
    name: str
    count: int
    spec: Any
    input_fn: Callable[[Any], tuple[Any, Any]]
    augment: Callable[..., tuple[Any, Any]] | None = None
    in_memory: Any = None
    class_weights: Any = None

    def zero_targets(self) -> Any:
        """Zeros with the shape of one example's targets and a batch axis."""
        return tf.nest.map_structure(
            lambda spec: np.zeros((1, *spec.shape[1:]), spec.dtype.as_numpy_dtype), self.spec[1]
        )


def open_split(
    examples: PreparedData,
    name: str,
    input_fn: Callable[[Any], tuple[Any, Any]],
    augment: Callable[..., tuple[Any, Any]] | None = None,
    in_memory_bytes: int = IN_MEMORY_BYTES,
) -> Split:
    """A split; a small one is read into memory.

    Args:
        input_fn: the task's.
        augment: the task's; not needed for validation.
        in_memory_bytes: the largest size of a split in memory.

    Raises:
        StepError: the data have no such split.
    """
    count = examples.require(name)
    pairs = examples.batches(name, min(READ_BATCH, count)).map(input_fn)
    split = Split(examples, name, count, pairs.element_spec, input_fn, augment)
    if count * sum(_example_bytes(spec) for spec in tf.nest.flatten(split.spec)) > in_memory_bytes:
        return split
    # In the host's memory: fit copies one batch at a time to the device.
    with tf.device("CPU"):
        return replace(split, in_memory=tf.nest.map_structure(lambda *parts: tf.concat(parts, 0), *pairs))


def _example_bytes(spec: Any) -> float:
    """Bytes of one example; infinite if examples differ in size."""
    shape = spec.shape[1:]
    return shape.num_elements() * spec.dtype.size if shape.is_fully_defined() else math.inf


def shuffled(
    split: Split,
    batch_size: int,
    steps: int,
    *,
    seed: int,
    epoch: int,
    kinds: tuple[str, ...] = (),
    done: int = 0,
) -> tf.data.Dataset:
    """One epoch: the first ``steps`` full batches of a new shuffle, augmented, with weights of examples if classes have
    weights.

    No state is carried from epoch to epoch, and all randomness in a batch follows from its number in the epoch: a
    resumed run reads what an uninterrupted one would have read.

    Args:
        seed: the run's; together with ``epoch`` it determines the order and every random change.
        kinds: the augmentations.
        done: batches to skip, on which an interrupted run has already trained.
    """
    if split.in_memory is None:
        batches = split.examples.batches(
            split.name, batch_size, shuffle_seed=combined_seed(seed, epoch), drop_remainder=True, skip=done
        )
        data = batches.take(steps - done).map(split.input_fn)
    else:
        order = np.random.default_rng([seed, epoch]).permutation(split.count)[: steps * batch_size]
        data = tf.data.Dataset.from_tensor_slices(order.reshape(steps, batch_size)[done:]).map(
            lambda rows: tf.nest.map_structure(lambda values: tf.gather(values, rows), split.in_memory)
        )
    if kinds and split.augment:
        epoch_seed, augment = combined_seed(seed, epoch, 1), split.augment

        def augment_batch(step: tf.Tensor, pair: Any) -> Any:
            # Stateless: the changes follow from seed, epoch and step, whichever thread makes them.
            return augment(*pair, kinds, tf.stack([tf.constant(epoch_seed, tf.int64), step]))

        data = data.enumerate(done).map(augment_batch, num_parallel_calls=cpu_count(), deterministic=True)
    if split.class_weights is not None:
        table = tf.constant(split.class_weights, tf.float32)
        data = data.map(lambda values, labels: (values, labels, tf.gather(table, labels)))
    return _prefetched(data, steps - done, split)


def in_order(split: Split, batch_size: int, steps: int) -> tf.data.Dataset:
    """The first ``steps`` batches of the split; the last one may be smaller."""
    if split.in_memory is None:
        data = split.examples.batches(split.name, batch_size).take(steps).map(split.input_fn)
    else:
        data = tf.data.Dataset.range(0, steps * batch_size, batch_size).map(
            lambda start: tf.nest.map_structure(lambda values: values[start : start + batch_size], split.in_memory)
        )
    return _prefetched(data, steps, split)


def _prefetched(data: tf.data.Dataset, steps: int, split: Split) -> tf.data.Dataset:
    data = data.apply(tf.data.experimental.assert_cardinality(steps)).prefetch(2)
    if split.in_memory is not None:
        # Slicing needs no tuning, and on two busy cores autotune made an epoch up to 1.5 times as long
        # (benchmarks/training.py: 0.7 of a hand-written epoch's speed with it, about the same speed without).
        options = tf.data.Options()
        options.autotune.enabled = False
        data = data.with_options(options)
    return data


def combined_seed(*numbers: int) -> int:
    """One 31-bit seed from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0] >> 1)
