"""What this machine's processors reach, measured in seconds: ``python -m components.profile.probe``."""

import json
import os
import time
from collections.abc import Callable
from typing import Any

# Sizes as a small network has them: the probe sees what training sees, not a datasheet's best case.
SIDE, PICTURES, CHANNELS, PIXELS = 1024, 64, 64, 32
TRAFFIC_BYTES = 2**25
SECONDS, CALLS = 0.8, 8


def main() -> None:
    """Print FLOP/s of convolutions and matrix products by number format, and bytes/s of memory, as one line of JSON."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    print(json.dumps(measured()))


def measured() -> dict[str, Any]:
    """``conv`` and ``matmul``: number format -> FLOP/s, forward; ``bandwidth``: bytes/s read and written together."""
    import tensorflow as tf

    from components.core import devices

    name, flags = devices.cpu_facts()
    threads = devices.cpu_count()
    found: dict[str, Any] = {"name": name, "threads": threads, "conv": {}, "matmul": {}}
    kinds = {"float32": tf.float32} | ({"mixed_bfloat16": tf.bfloat16} if "amx_bf16" in flags else {})
    with tf.device("CPU"):
        for precision, kind in kinds.items():
            square = tf.cast(tf.random.uniform([SIDE, SIDE]), kind)
            pictures = tf.cast(tf.random.uniform([PICTURES, PIXELS, PIXELS, CHANNELS]), kind)
            filters = tf.cast(tf.random.uniform([3, 3, CHANNELS, CHANNELS]), kind)
            found["matmul"][precision] = 2 * SIDE**3 / _fastest(lambda a=square: tf.matmul(a, a), threads)  # type: ignore[misc]
            conv_flops = 2 * PICTURES * PIXELS**2 * 9 * CHANNELS**2
            found["conv"][precision] = conv_flops / _fastest(
                lambda x=pictures, w=filters: tf.nn.conv2d(x, w, 1, "SAME"),  # type: ignore[misc]
                threads,
            )
        numbers = tf.random.uniform([TRAFFIC_BYTES // 4])
        # A result is read once and written once.
        found["bandwidth"] = 2 * TRAFFIC_BYTES / _fastest(lambda: tf.nn.relu(numbers), threads)
    return found


def _fastest(work: Callable[[], Any], threads: int) -> float:
    """Seconds of one call at best, by CPU seconds shared out over the threads: other processes disturb them least."""
    import tensorflow as tf

    graph = tf.function(work, autograph=False)
    graph()
    best, end = float("inf"), time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        began = time.process_time()
        for _ in range(CALLS):
            graph()
        best = min(best, (time.process_time() - began) / CALLS / threads)
    return best


if __name__ == "__main__":
    main()
