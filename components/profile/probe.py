"""Measure this machine's speed, within seconds: ``python -m components.profile.probe``."""

import json
import os
import time
from collections.abc import Callable
from typing import Any

from components.core import devices

# The sizes of a small network, so that the probe measures what training reaches, not a datasheet's best case.
SIDE, IMAGES, CHANNELS, PIXELS = 1024, 64, 64, 32
TRAFFIC_BYTES = 2**25
SECONDS, CALLS = 0.8, 8


def main() -> None:
    """Print the measurements as one line of JSON."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    print(json.dumps(measure()))


def measure() -> dict[str, Any]:
    """``conv`` and ``matmul``: number format -> FLOP/s, forward; ``bandwidth``: bytes/s read and written together."""
    import tensorflow as tf

    name, flags = devices.cpu_facts()
    threads = devices.cpu_count()
    result: dict[str, Any] = {"name": name, "threads": threads, "conv": {}, "matmul": {}}
    kinds = {"float32": tf.float32} | ({"mixed_bfloat16": tf.bfloat16} if "amx_bf16" in flags else {})
    with tf.device("CPU"):
        for precision, kind in kinds.items():
            square = tf.cast(tf.random.uniform([SIDE, SIDE]), kind)
            images = tf.cast(tf.random.uniform([IMAGES, PIXELS, PIXELS, CHANNELS]), kind)
            filters = tf.cast(tf.random.uniform([3, 3, CHANNELS, CHANNELS]), kind)
            result["matmul"][precision] = 2 * SIDE**3 / _fastest(lambda a=square: tf.matmul(a, a), threads)  # type: ignore[misc]
            conv_flops = 2 * IMAGES * PIXELS**2 * 9 * CHANNELS**2
            result["conv"][precision] = conv_flops / _fastest(
                lambda x=images, w=filters: tf.nn.conv2d(x, w, 1, "SAME"),  # type: ignore[misc]
                threads,
            )
        numbers = tf.random.uniform([TRAFFIC_BYTES // 4])
        # A result is read once and written once.
        result["bandwidth"] = 2 * TRAFFIC_BYTES / _fastest(lambda: tf.nn.relu(numbers), threads)
    return result


def _fastest(work: Callable[[], Any], threads: int) -> float:
    """The least seconds of one call, as CPU seconds divided by the threads, which other processes disturb least."""
    import tensorflow as tf

    graph = tf.function(work, autograph=False)
    graph()
    best, end = float("inf"), time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        start = time.process_time()
        for _ in range(CALLS):
            graph()
        best = min(best, (time.process_time() - start) / CALLS / threads)
    return best


if __name__ == "__main__":
    main()
