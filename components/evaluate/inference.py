"""Models run on the test split: loaded, checked against the data, and read batch by batch in one pass."""

import hashlib
import heapq
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from components.core import progress, saved_model
from components.core.errors import StepError
from components.core.examples import Examples

if TYPE_CHECKING:
    import keras
    import numpy as np

# Mistakes shown in the report.
SHOWN = 24
LATENCY_BATCHES = (1, 64)


@dataclass(frozen=True)
class Loaded:
    """A model ready to run: pictures (or another task's inputs) as arrays in, outputs as an array out."""

    run: "Callable[[np.ndarray], np.ndarray]"
    input_shape: tuple[int, ...]
    units: int
    digest: str


@dataclass(frozen=True)
class TestSplit:
    """What one pass over the test split leaves.

    Attributes:
        outputs: each model's outputs, float32 [n, units], in the order of the models.
        batch: the examples' arrays of one value each (label, key, attributes): name -> [n].
        mistakes: number and input of the examples on which the first model is wrong with most confidence, the surest
            first.
    """

    outputs: "list[np.ndarray]"
    batch: "dict[str, np.ndarray]"
    mistakes: "list[tuple[int, np.ndarray]]"


def load_model(path: Path) -> Loaded:
    """Load a .keras file; TensorFlow must be Keras's backend.

    Raises:
        StepError: the file is missing, damaged or unsafe.
    """
    import tensorflow as tf

    model = saved_model.load(path)
    # One trace serves every batch size. Calling the model from Python costs milliseconds a call.
    signature = tf.TensorSpec(model.inputs[0].shape, model.inputs[0].dtype)
    traced = tf.function(lambda inputs: model(inputs, training=False), input_signature=[signature])
    return Loaded(
        lambda inputs: traced(tf.constant(inputs)).numpy(),
        tuple(model.input_shape[1:]),
        int(model.output_shape[-1]),
        _digest(model),
    )


def _digest(model: "keras.Model") -> str:
    """A digest of architecture and weights; names of layers do not count, which differ from process to process."""
    total = hashlib.sha256(repr([type(layer).__name__ for layer in model.layers]).encode())
    for weight in model.get_weights():
        total.update(repr((weight.shape, weight.dtype.name)).encode() + weight.tobytes())
    return total.hexdigest()[:16]


def check_fits(model: Loaded, data: Examples, task: ModuleType) -> str:
    """Why a model cannot take these examples, or an empty string."""
    shape = tuple(int(side) for side in data.info["image_shape"]) if "image_shape" in data.info else model.input_shape
    if tuple(model.input_shape) != shape:
        return f"takes inputs of {_sides(model.input_shape)}, the data have {_sides(shape)}"
    if model.units != (units := task.units(data.info)):
        return f"has {model.units} outputs, the data need {units}"
    return ""


def _sides(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def over_test_split(data: Examples, models: Sequence[Loaded], task: ModuleType, batch_size: int) -> TestSplit:
    """Run models over the test split in one pass; inputs are dropped after their batch, but for the worst mistakes.

    Raises:
        StepError: the first model's outputs are not finite.
    """
    import numpy as np

    outputs: list[list[np.ndarray]] = [[] for _ in models]
    columns: dict[str, list[np.ndarray]] = {}
    worst: list[tuple[float, int, np.ndarray]] = []
    done, total = 0, data.require("test")
    for tensors in data.batches("test", batch_size):
        batch = {name: tensor.numpy() for name, tensor in tensors.items()}
        inputs, _ = task.inputs_and_targets(batch)
        for kept, model in zip(outputs, models, strict=True):
            kept.append(model.run(inputs).astype(np.float32))
        if not np.isfinite(outputs[0][-1]).all():
            raise StepError("the model gives outputs that are not finite", advice="train it again", kind="model")
        for name, array in batch.items():
            if array.ndim == 1:
                columns.setdefault(name, []).append(array)
        for index, sure in enumerate(task.mistaken(outputs[0][-1], batch)):
            if sure > 0 and (len(worst) < SHOWN or sure > worst[0][0]):
                # Of equally sure mistakes the earlier stays: -number orders them.
                push = heapq.heappush if len(worst) < SHOWN else heapq.heapreplace
                push(worst, (float(sure), -(done + index), inputs[index]))
        done += len(inputs)
        progress.report("evaluate", done=done, total=total)
    return TestSplit(
        [np.concatenate(kept) for kept in outputs],
        {name: np.concatenate(parts) for name, parts in columns.items()},
        [(-number, pixels) for _, number, pixels in sorted(worst, key=lambda one: one[:2], reverse=True)],
    )


def latency(model: Loaded, example: "np.ndarray", seconds: float = 0.2) -> dict[str, float]:
    """Milliseconds of a call at batch sizes 1 and 64, medians over about ``seconds`` each after one call to warm up."""
    import numpy as np

    found = {}
    for size in LATENCY_BATCHES:
        inputs = np.repeat(example[None], size, axis=0)
        model.run(inputs)
        times: list[float] = []
        while sum(times) < seconds or len(times) < 3:
            began = time.perf_counter()
            model.run(inputs)
            times.append(time.perf_counter() - began)
        found[f"latency_ms_batch_{size}"] = round(1000 * float(np.median(times)), 3)
    return found


def same_labels(published: Mapping[str, Any], data: Examples) -> bool:
    """Whether a published version's classes are those of the data, in the same order; unknown counts as the same.

    Args:
        published: what its ``version.json`` says.
    """
    known = published.get("info", {}).get("classes")
    return known is None or list(known) == list(data.info.get("classes", known))
