"""Inference on the test split: models are loaded, checked against the data and run in one pass."""

import hashlib
import heapq
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components.core import progress
from components.core.errors import StepError
from components.core.examples import PreparedData
from components.core.inference import Predictor, traced
from components.tasks.contract import Arrays, Evaluation

if TYPE_CHECKING:
    import keras

# Examples shown in the report under each title.
SHOWN = 24
LATENCY_BATCHES = (1, 64)


@dataclass(frozen=True)
class Loaded:
    """A model ready to run on a task's examples.

    Attributes:
        predictor: the network.
        assets: for encoding contents as its inputs.
        digest: of its architecture and weights.
    """

    predictor: Predictor
    assets: dict[str, Any]
    digest: str


@dataclass(frozen=True)
class TestSplit:
    """The results of one pass over the test split.

    Attributes:
        predicted: each model's predictions, in the order of the models.
        truth: labels, keys and attributes of the examples.
        shown: title -> number and content of the first model's worst examples, worst first.
    """

    predicted: list[Arrays]
    truth: Arrays
    shown: dict[str, list[tuple[int, Any]]]


def load_model(path: Path, role: Evaluation[Any, Any]) -> tuple[Loaded | None, str]:
    """Load a .keras file; TensorFlow must be Keras's backend.

    Returns:
        The model and an empty string, or None and the reason why it does not suit these examples.

    Raises:
        StepError: the file is missing, damaged or unsafe.
    """
    from components.layers import saved_model

    network = saved_model.load(path)
    if problem := role.problem(network):
        return None, problem
    return Loaded(Predictor(traced(network), network), role.assets(network), _digest(network)), ""


def _digest(model: "keras.Model") -> str:
    """A digest of architecture and weights, without the names of layers, which differ between processes."""
    total = hashlib.sha256(repr([type(layer).__name__ for layer in model.layers]).encode())
    for weight in model.get_weights():
        total.update(repr((weight.shape, weight.dtype.name)).encode() + weight.tobytes())
    return total.hexdigest()[:16]


def over_test_split(data: PreparedData, models: Sequence[Loaded], role: Evaluation[Any, Any]) -> TestSplit:
    """Run models on the test split in one pass, and collect the contents of the worst examples.

    Raises:
        StepError: the first model's outputs are not finite.
    """
    predicted: list[dict[str, list[np.ndarray]]] = [{} for _ in models]
    truth: dict[str, list[np.ndarray]] = {}
    worst = _Worst()
    done, total = 0, data.require("test")
    for tensors in data.batches("test", role.settings.batch_size):
        batch = {name: tensor.numpy() for name, tensor in tensors.items()}
        outputs = [role.predict(model.predictor, batch, model.assets) for model in models]
        _require_finite(outputs[0])
        labels = role.truth(batch)
        for columns, parts in zip([truth, *predicted], [labels, *outputs], strict=True):
            for name, array in parts.items():
                columns.setdefault(name, []).append(array)
        worst.update(role.worst_examples(outputs[0], labels), batch[role.content], done)
        done += len(labels["key"])
        progress.report("evaluate", done=done, total=total)
    return TestSplit([_join(columns) for columns in predicted], _join(truth), worst.examples())


def _join(parts: Mapping[str, list[np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def _require_finite(outputs: Mapping[str, np.ndarray]) -> None:
    for array in outputs.values():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise StepError("the model's outputs are not finite", advice="train it again", kind="model")


@dataclass
class _Worst:
    """The contents of the examples with the largest values, by title."""

    heaps: dict[str, list[tuple[float, int, Any]]] = field(default_factory=dict)

    def update(self, values: Mapping[str, np.ndarray], contents: np.ndarray, start: int) -> None:
        """Add a batch whose first example has the number ``start``."""
        for title, column in values.items():
            heap = self.heaps.setdefault(title, [])
            for index, value in enumerate(column.tolist()):
                if value > 0 and (len(heap) < SHOWN or value > heap[0][0]):
                    # Among equal values the earlier example is preferred, by -number.
                    push = heapq.heappush if len(heap) < SHOWN else heapq.heapreplace
                    push(heap, (value, -(start + index), contents[index]))

    def examples(self) -> dict[str, list[tuple[int, Any]]]:
        """Numbers and contents, by descending value."""
        return {
            title: [(-number, content) for _, number, content in sorted(heap, key=lambda one: one[:2], reverse=True)]
            for title, heap in self.heaps.items()
        }


def latency(model: Loaded, inputs: np.ndarray, seconds: float = 0.2) -> dict[str, float]:
    """Median milliseconds of a call of the network at batch sizes 1 and 64, over about ``seconds`` each after a warm-up
    call.

    Args:
        inputs: of one example, [1, ...].
    """
    result = {}
    for size in LATENCY_BATCHES:
        batch = np.repeat(inputs, size, axis=0)
        model.predictor.run(batch)
        times: list[float] = []
        while sum(times) < seconds or len(times) < 3:
            start = time.perf_counter()
            model.predictor.run(batch)
            times.append(time.perf_counter() - start)
        result[f"latency_ms_batch_{size}"] = round(1000 * float(np.median(times)), 3)
    return result


def same_labels(published: Mapping[str, Any], data: PreparedData) -> bool:
    """Whether a published version has the classes of the data, in the same order; true if they are unknown.

    Args:
        published: the content of its ``version.json``.
    """
    classes = published.get("info", {}).get("classes")
    return classes is None or list(classes) == list(data.info.get("classes", classes))
