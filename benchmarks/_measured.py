"""One training on this machine in a process of its own: examples a second and the memory it took."""

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any


def main() -> None:
    """Read a JSON request on stdin (model, shape, units, batch, steps, training); write what was measured."""
    request = json.load(sys.stdin)
    print(json.dumps(measured(**request)))


def measured(
    model: dict[str, Any], shape: list[int], units: int, batch: int, steps: int, training: dict[str, Any]
) -> dict[str, Any]:
    """Train on random pictures by the train step's own path.

    Returns:
        ``rate``: examples a second in the fastest epoch, training steps alone, compilation excluded. ``work_rate``: the
        same by CPU seconds over all threads, which other processes disturb less. ``bytes``: the most resident memory
        above that of the same process after it had trained a tiny model.
    """
    import keras
    import numpy as np
    import tensorflow as tf

    from components.core import devices
    from components.core.choices import load
    from components.core.config import checked, section_class
    from components.tasks.image_classification.training import Training
    from components.train import callbacks, compiling, inputs, loop
    from components.train.settings import TrainingSettings

    settings = TrainingSettings(batch_size=batch, **training)
    architecture = checked("model", section_class("model", model), model)
    with devices.configured(precision=settings.precision) as device:
        _warm_up(keras, np)
        random = np.random.default_rng(0)
        count = batch * min(steps, 8)
        pictures = random.integers(0, 256, (count, *shape), dtype=np.uint8)
        base = resident()
        watch_memory = Peak()
        specs = (tf.TensorSpec((None, *shape), tf.uint8), tf.TensorSpec((None,), tf.int64))
        held = (tf.constant(pictures), tf.constant(random.integers(0, units, count)))
        task = Training({})  # type: ignore[typeddict-item]
        split = inputs.Split(None, "train", count, specs, task.input_fn({}), task.augment, held)  # type: ignore[arg-type]
        network = load("models", architecture.name).build(architecture, tuple(shape), units)
        compiling.compile_model(network, task.compile_arguments(network), split.zero_targets(), settings, steps, device)
        whole = count // batch
        rates, work = [], []
        for epoch in range(4):
            throughput, worked = callbacks.Throughput(batch, steps), time.process_time()
            data = inputs.shuffled(split, batch, whole, seed=0, epoch=epoch).repeat(-(-steps // whole)).take(steps)
            watching = (throughput, callbacks.ProgressReport(settings, throughput))
            loop.one_epoch(network, data, None, epoch, watching, steps=steps)
            rates.append(throughput.rate)
            work.append(steps * batch / (time.process_time() - worked) * device.threads)
        most = watch_memory.stop() - base
    return {"rate": max(rates[1:]), "work_rate": max(work[1:]), "bytes": most, "threads": device.threads}


def _warm_up(keras: Any, np: Any) -> None:
    """Load what any training loads: kernels, thread pools, the tracing machinery."""
    layers = keras.layers
    tiny = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(2)])
    tiny.compile("adam", "mse")
    tiny.fit(np.zeros((8, 8, 8, 3), "float32"), np.zeros((8, 2), "float32"), batch_size=4, verbose=0)


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


class Peak:
    """The most resident memory from now on, looked at every few milliseconds."""

    def __init__(self) -> None:
        self._most, self._over = resident(), threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._over.is_set():
            self._most = max(self._most, resident())
            time.sleep(0.004)

    def stop(self) -> int:
        """Bytes."""
        self._over.set()
        self._thread.join()
        return self._most


if __name__ == "__main__":
    main()
