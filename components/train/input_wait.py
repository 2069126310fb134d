"""How long training waits for its input, measured inside ``tf.data``, since ``model.fit`` asks for batches in a graph.

One batch of ``SAMPLED`` is timed, from the moment it is asked for to the moment it is there, and stands for the others:
timing costs about 0.1 ms a batch of a small data set, which a split that is decoded on the way does not notice, and a
split that is held in memory does. So only the former is to be timed.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

# A prime, so that no rhythm of shards and buffers is in step with it.
SAMPLED = 17
# The first batch, for which buffers fill and graphs are made, is no sample of the others.
FIRST = SAMPLED // 2
# What the two calls into Python take where nothing is waited for (0.18 ms here).
COST_S = 0.0002


def timed(data: tf.data.Dataset, waited: Callable[[float], None]) -> tf.data.Dataset:
    """The same batches in the same order, with their waiting times told.

    Args:
        data: batches, prefetched; its cardinality stays.
        waited: called from a thread of TensorFlow's with the seconds that ``SAMPLED`` batches took.
    """

    def asked() -> Any:
        return np.float64(time.monotonic())

    def there(since: Any) -> Any:
        waited(max(0.0, time.monotonic() - float(since) - COST_S) * SAMPLED)
        return np.float64(0.0)

    def clock(number: tf.Tensor) -> tf.Tensor:
        # tf.timestamp is forbidden where operations are to be deterministic.
        now = tf.cond(
            number % SAMPLED == FIRST,
            lambda: tf.numpy_function(asked, [], tf.float64, stateful=True),
            lambda: tf.constant(0.0, tf.float64),
        )
        return tf.ensure_shape(now, ())

    def note(since: tf.Tensor, *batch: Any) -> Any:
        with tf.control_dependencies(tf.nest.flatten(batch)):
            noted = tf.cond(
                since > 0,
                lambda: tf.numpy_function(there, [since], tf.float64, stateful=True),
                lambda: tf.constant(0.0, tf.float64),
            )
        with tf.control_dependencies([noted]):
            same = tf.nest.map_structure(tf.identity, batch)
        return same if len(same) > 1 else same[0]

    clocks = tf.data.Dataset.counter().map(clock)
    both = tf.data.Dataset.zip((clocks, data)).map(lambda since, batch: note(since, *_parts(batch)))
    return both.apply(tf.data.experimental.assert_cardinality(int(data.cardinality())))


def _parts(batch: Any) -> tuple[Any, ...]:
    return batch if isinstance(batch, tuple) else (batch,)
