"""The work of ``suanli run fashion_mnist`` in one plain script: load, fit, evaluate, five exports. Prints its times."""

import gzip
import json
import sys
import time
from pathlib import Path

BEGAN = time.perf_counter()
TIMES: dict[str, float] = {}


def lap(name: str) -> None:
    """Note how long the part that ends here took."""
    TIMES[name] = round(time.perf_counter() - BEGAN - sum(TIMES.values()), 2)


settings = json.loads(sys.argv[1])
folder = Path(sys.argv[2])

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

lap("imports")


def read(name: str, header: int) -> np.ndarray:
    """An IDX file's bytes after its header."""
    return np.frombuffer(gzip.open(f"/usr/share/datasets/fashion-mnist/{name}-ubyte.gz").read(), np.uint8, -1, header)


train_x, test_x = (read(f"{part}-images-idx3", 16).reshape(-1, 28, 28, 1) for part in ("train", "t10k"))
train_y, test_y = (read(f"{part}-labels-idx1", 8).astype("int64") for part in ("train", "t10k"))
held = len(train_x) // 10
lap("load")

keras.utils.set_random_seed(0)
keras.config.set_dtype_policy(settings["precision"])
model = keras.Sequential(
    [
        keras.Input((28, 28, 1), dtype="uint8"),
        keras.layers.Rescaling(1 / 255),
        *(
            layer
            for filters in settings["filters"]
            for layer in (
                keras.layers.Conv2D(filters, 3, padding=settings["padding"], activation="relu"),
                keras.layers.MaxPooling2D(),
            )
        ),
        keras.layers.Flatten(),
        keras.layers.Dense(settings["dense"], activation="relu"),
        keras.layers.Dense(10, dtype="float32"),
    ]
)
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
model.fit(
    train_x[held:],
    train_y[held:],
    batch_size=settings["batch_size"],
    epochs=settings["epochs"],
    validation_data=(train_x[:held], train_y[:held]),
    verbose=0,
)
lap("fit")
loss, accuracy = model.evaluate(test_x, test_y, batch_size=256, verbose=0)
lap("evaluate")

model.export(folder / "saved_model", verbose=False)


def litert(name: str, optimized: bool, integer: bool) -> None:
    """Write one LiteRT file."""
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved_model"))
    if optimized:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if integer:
        converter.representative_dataset = lambda: ([train_x[i : i + 1]] for i in range(100))
    (folder / f"{name}.tflite").write_bytes(converter.convert())


litert("float", False, False)
litert("dynamic", True, False)
litert("int8", True, True)
model.export(folder / "model.onnx", format="onnx", verbose=False)
lap("export")
print(json.dumps({"seconds": round(time.perf_counter() - BEGAN, 2), "accuracy": accuracy, "parts": TIMES}))
