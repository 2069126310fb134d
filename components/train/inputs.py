"""What ``model.fit`` reads: one split, an epoch at a time, in an order that depends on the seed and the epoch alone."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from components.core.devices import cpu_count
from components.core.examples import PreparedData
from components.train.settings import HELD_BYTES

READ = 1024


@dataclass(frozen=True)
class Split:
    """One split of the prepared data.

    Attributes:
        count: its number of examples.
        spec: TensorFlow's specification of a batch of inputs and targets.
        input_fn: parsed examples to inputs and targets, the task's.
        augment: changes inputs and targets at random, the task's.
        held: all its inputs and targets where they are held in memory, else None.
    """

    examples: PreparedData
    name: str
    count: int
    spec: Any
    input_fn: Callable[[Any], tuple[Any, Any]]
    augment: Callable[..., tuple[Any, Any]] | None = None
    held: Any = None

    def any_targets(self) -> Any:
        """Targets of one example, with a batch axis, of no particular value."""
        return tf.nest.map_structure(
            lambda spec: np.zeros((1, *spec.shape[1:]), spec.dtype.as_numpy_dtype), self.spec[1]
        )


def opened(
    examples: PreparedData,
    name: str,
    input_fn: Callable[[Any], tuple[Any, Any]],
    augment: Callable[..., tuple[Any, Any]] | None = None,
    held_bytes: int = HELD_BYTES,
) -> Split:
    """A split, read into memory where it is small.

    Args:
        input_fn: the task's.
        augment: the task's; a split that is only validated on needs none.

    Raises:
        StepError: the data have no such split.
    """
    count = examples.require(name)
    pairs = examples.batches(name, min(READ, count)).map(input_fn)
    size = count * sum(_bytes(spec) for spec in tf.nest.flatten(pairs.element_spec))
    if size > held_bytes:
        return Split(examples, name, count, pairs.element_spec, input_fn, augment)
    # On the host: fit copies a batch at a time to where it computes.
    with tf.device("CPU"):
        held = tf.nest.map_structure(lambda *parts: tf.concat(parts, 0), *pairs)
    return Split(examples, name, count, pairs.element_spec, input_fn, augment, held)


def _bytes(spec: Any) -> float:
    """Bytes of one example; infinite where they differ from example to example."""
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
    """One epoch: the first ``steps`` whole batches of a fresh shuffle, augmented.

    Nothing carries over from epoch to epoch, and what is random in a batch follows from its number in the epoch: a
    resumed run reads what an uninterrupted one would have read.

    Args:
        seed: the run's seed; with ``epoch`` it decides about the order and every random change.
        kinds: the augmentations.
        done: leave out so many batches at the start, which an interrupted run has trained on.
    """
    if split.held is None:
        batches = split.examples.batches(
            split.name, batch_size, shuffle_seed=mixed(seed, epoch), drop_remainder=True, skip=done
        )
        data = batches.take(steps - done).map(split.input_fn)
    else:
        order = np.random.default_rng([seed, epoch]).permutation(split.count)[: steps * batch_size]
        data = tf.data.Dataset.from_tensor_slices(order.reshape(steps, batch_size)[done:]).map(
            lambda rows: tf.nest.map_structure(lambda whole: tf.gather(whole, rows), split.held)
        )
    if kinds and split.augment:
        start, augment = mixed(seed, epoch, 1), split.augment

        def changed(step: tf.Tensor, pair: Any) -> Any:
            # Stateless: what changes follows from seed, epoch and step, whichever thread does it.
            return augment(*pair, kinds, tf.stack([tf.constant(start, tf.int64), step]))

        data = data.enumerate(done).map(changed, num_parallel_calls=cpu_count(), deterministic=True)
    return _finished(data, steps - done, split)


def in_order(split: Split, batch_size: int, steps: int) -> tf.data.Dataset:
    """The first ``steps`` batches of the split, the last one with what is left."""
    if split.held is None:
        data = split.examples.batches(split.name, batch_size).take(steps).map(split.input_fn)
    else:
        data = tf.data.Dataset.range(0, steps * batch_size, batch_size).map(
            lambda start: tf.nest.map_structure(lambda whole: whole[start : start + batch_size], split.held)
        )
    return _finished(data, steps, split)


def _finished(data: tf.data.Dataset, steps: int, split: Split) -> tf.data.Dataset:
    data = data.apply(tf.data.experimental.assert_cardinality(steps)).prefetch(2)
    if split.held is not None:
        # Rows of an array need no tuning, and on two busy cores autotune made an epoch up to 1.5 times as long
        # (benchmarks/training.py: 0.7 of a hand-written epoch's speed with it, about the same speed without).
        options = tf.data.Options()
        options.autotune.enabled = False
        data = data.with_options(options)
    return data


def mixed(*numbers: int) -> int:
    """One seed of 31 bits out of several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0] >> 1)
