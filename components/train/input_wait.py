"""Input wait: how long training waits for its next batch.

It is measured inside ``tf.data``, because ``model.fit`` asks for batches from within a graph. One batch in ``SAMPLED``
is timed, from the request to the arrival, and stands for the others. Timing costs about 0.1 ms per batch of a small
data set: negligible for a split that is decoded on the fly, noticeable for one in memory, which should not be timed.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

# A prime, so that it does not coincide with the periods of shards and buffers.
SAMPLED = 17
# The first batch, which waits for buffers and graph tracing, is not typical and not sampled.
FIRST = SAMPLED // 2
# Duration of the two calls into Python when there is nothing to wait for (0.18 ms measured).
COST_S = 0.0002


def measured(data: tf.data.Dataset, on_wait: Callable[[float], None]) -> tf.data.Dataset:
    """The same batches in the same order, with their waiting times reported.

    Args:
        data: prefetched batches, of known cardinality.
        on_wait: called with the estimated waiting time of ``SAMPLED`` batches, from a thread of TensorFlow.
    """

    def now() -> Any:
        return np.float64(time.monotonic())

    def report(requested: Any) -> Any:
        on_wait(max(0.0, time.monotonic() - float(requested) - COST_S) * SAMPLED)
        return np.float64(0.0)

    def request(number: tf.Tensor) -> tf.Tensor:
        # tf.timestamp is not allowed with deterministic operations.
        requested = tf.cond(
            number % SAMPLED == FIRST,
            lambda: tf.numpy_function(now, [], tf.float64, stateful=True),
            lambda: tf.constant(0.0, tf.float64),
        )
        return tf.ensure_shape(requested, ())

    def arrive(requested: tf.Tensor, batch: Any) -> Any:
        with tf.control_dependencies(tf.nest.flatten(batch)):
            reported = tf.cond(
                requested > 0,
                lambda: tf.numpy_function(report, [requested], tf.float64, stateful=True),
                lambda: tf.constant(0.0, tf.float64),
            )
        with tf.control_dependencies([reported]):
            return tf.nest.map_structure(tf.identity, batch)

    requests = tf.data.Dataset.counter().map(request)
    timed = tf.data.Dataset.zip((requests, data)).map(arrive)
    return timed.apply(tf.data.experimental.assert_cardinality(int(data.cardinality())))
