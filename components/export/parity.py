"""Parity: whether a format agrees with the evaluated Keras model on real test examples; and its latency."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from components.core import archives
from components.core.errors import StepError
from components.core.examples import PreparedData
from components.core.inference import CHUNK, Predictor, Run
from components.export.runtime import QUANTIZED, one_line
from components.export.settings import ExportSettings
from components.tasks.contract import Arrays, Evaluation

# A quantized format may differ in single outputs, but not overall: the root mean square of the differences relative to
# that of the outputs. For permuted or unrelated outputs it is about 1 or more, for int8 a few hundredths.
MAX_TYPICAL = 0.5
# evaluate may have run in bfloat16 a model that is exported in float32: 8 bits of mantissa lose about a hundredth in a
# deep network, and another model's outputs differ by a half or more. In equal precision only the last figures differ.
MIXED_TYPICAL, SAME_TYPICAL = 0.1, 1e-3
# Discrete predictions, such as a decoded text, are compared by their scores: the mean absolute difference of the paired
# metric over examples, which is larger for another model.
MAX_METRIC_DIFFERENCE = 0.1
BATCHES = (1, 64)
MIN_CALLS = 5


@dataclass(frozen=True)
class Sample:
    """Test examples with the results of the Keras model.

    Attributes:
        batch: the examples' arrays, [n, ...] each.
        inputs: of the network, [n, ...].
        outputs: float32 [n, ...].
        predicted: the task's predictions, [n, ...] each.
        paired: the task's paired metric of each example, float64 [n].
        assets: for encoding contents as inputs.
    """

    batch: Arrays
    inputs: np.ndarray
    outputs: np.ndarray
    predicted: Arrays
    paired: np.ndarray
    assets: dict[str, Any]


@dataclass(frozen=True)
class Parity:
    """The difference of a format's outputs from the Keras model's.

    Attributes:
        difference: the largest difference in any output, relative to the largest output.
        typical: the root mean square of the differences, relative to that of the outputs.
        metric_change: the format's mean of the paired metric minus the Keras model's.
        problem: why the format fails; empty if it does not.
    """

    difference: float
    typical: float
    metric_change: float
    problem: str


def sample(
    data: PreparedData, role: Evaluation[Any, Any], predictor: Predictor, assets: dict[str, Any], count: int
) -> Sample:
    """At most ``count`` examples of the test split, shuffled, since data may be sorted by class."""
    batch = first_examples(data, "test", count, seed=0)
    inputs = role.encode(batch[role.content], assets)
    outputs = predictor.run_all(inputs)
    predicted = predict(role, predictor, batch, assets)
    paired = role.example_metric(predicted, role.truth(batch))
    return Sample(batch, inputs, outputs, predicted, paired, assets)


def predict(role: Evaluation[Any, Any], predictor: Predictor, batch: Arrays, assets: dict[str, Any]) -> Arrays:
    """The task's predictions, a chunk of examples at a time."""
    parts = []
    for start in range(0, len(batch["key"]), CHUNK):
        rows = {name: array[start : start + CHUNK] for name, array in batch.items()}
        parts.append(role.predict(predictor, rows, assets))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def first_examples(data: PreparedData, split: str, count: int, seed: int) -> Arrays:
    """Arrays of a split's first examples, shuffled by a seed."""
    count = min(count, data.require(split))
    tensors = next(iter(data.batches(split, count, shuffle_seed=seed)))
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def check_recorded(sample: Sample, role: Evaluation[Any, Any], recorded: Path, mixed: bool) -> None:
    """Compare the model with the predictions recorded by evaluate: model, data and verdict must belong together.

    Args:
        recorded: predictions.npz of evaluate.
        mixed: whether the model was trained, and so evaluated, in mixed precision.

    Raises:
        StepError: an example is missing in the record, or its truth or predictions differ.
    """
    try:
        arrays = archives.arrays(recorded)
        keys = arrays["key"]
    except archives.DAMAGED as error:
        raise _mixup(f"{recorded.name} of the verdict cannot be read ({error})") from None
    index = {str(key): number for number, key in enumerate(keys.tolist())}
    sampled = [key.decode() if isinstance(key, bytes) else str(key) for key in sample.batch["key"].tolist()]
    if unknown := [key for key in sampled if key not in index]:
        raise _mixup(f"evaluate never saw the test example {unknown[0]}")
    rows = np.array([index[key] for key in sampled])
    for name, values in role.truth(sample.batch).items():
        if name != "key" and (changed := _changed(arrays.get(f"true_{name}"), values, rows)):
            raise _mixup(f"evaluate saw another {name} of the test example {sampled[changed[0]]}")
    limit = MIXED_TYPICAL if mixed else SAME_TYPICAL
    for name in role.exact:
        stored, values = arrays.get(name), sample.predicted[name]
        comparable = stored is not None and stored.shape[1:] == values.shape[1:]
        typical = differences(values, stored[rows])[1] if comparable and stored is not None else np.inf
        if not typical <= limit:
            raise _mixup(f"the model's {name} are not those that evaluate recorded (they differ by {typical:.2g})")
    if not role.exact:
        recorded_rows = {name: arrays[name][rows] for name in sample.predicted if name in arrays}
        complete = len(recorded_rows) == len(sample.predicted)
        paired = role.example_metric(recorded_rows, role.truth(sample.batch)) if complete else np.inf
        difference = float(np.mean(np.abs(sample.paired - paired)))
        if not difference <= MAX_METRIC_DIFFERENCE:
            raise _mixup(f"the model's answers are not those that evaluate recorded (they differ by {difference:.2g})")


def _changed(stored: np.ndarray | None, values: np.ndarray, rows: np.ndarray) -> list[int]:
    """Indices of the examples whose stored values differ."""
    if stored is None or stored.shape[1:] != values.shape[1:]:
        return [0]
    same = stored[rows] == (values.astype(stored.dtype) if values.dtype == object else values)
    return np.flatnonzero(~same.reshape(len(rows), -1).all(axis=1)).tolist()


def _mixup(message: str) -> StepError:
    return StepError(message, advice="model, data and verdict must come from one run: evaluate again", kind="model")


def differences(reference: np.ndarray, outputs: np.ndarray) -> tuple[float, float]:
    """The largest and the typical (root mean square) difference, relative to the reference's largest and typical."""
    difference = outputs.astype(np.float64) - reference
    largest, typical = np.abs(reference).max(), np.sqrt(np.mean(np.square(reference, dtype=np.float64)))
    # If all outputs are zero, there is no scale.
    return float(np.abs(difference).max() / (largest or 1)), float(np.sqrt(np.mean(difference**2)) / (typical or 1))


def compare(
    format: str,
    predictor: Predictor,
    sample: Sample,
    role: Evaluation[Any, Any],
    settings: ExportSettings,
    serving: Run | None = None,
) -> Parity:
    """Run a format in its runtime, with the first example alone and with all in batches, and compare.

    Args:
        serving: the signature from contents to outputs, if the format has one.
    """
    try:
        alone, outputs = predictor.run(sample.inputs[:1]), predictor.run_all(sample.inputs)
        predicted = predict(role, predictor, sample.batch, sample.assets)
        served = Predictor(serving).run_all(sample.batch[role.content]) if serving else sample.outputs
    except Exception as error:  # each runtime raises its own kinds
        return Parity(np.inf, np.inf, np.nan, f"{format} does not run: {one_line(error)}")
    if {outputs.shape, served.shape} != {sample.outputs.shape} or alone.shape != sample.outputs[:1].shape:
        shapes = f"{format} gives outputs of shape {list(outputs.shape)}, the model {list(sample.outputs.shape)}"
        return Parity(np.inf, np.inf, np.nan, shapes)
    # The outputs of an example must not depend on its neighbours.
    pairs = [
        differences(sample.outputs, outputs),
        differences(sample.outputs[:1], alone),
        differences(sample.outputs, served),
    ]
    difference, typical = (max(values) for values in zip(*pairs, strict=True))
    change = float(role.example_metric(predicted, role.truth(sample.batch)).mean() - sample.paired.mean())
    parity = Parity(difference, typical, change, "")
    return Parity(difference, typical, change, _problem(format, parity, role.settings.paired_metric, settings))


def _problem(format: str, parity: Parity, metric: str, settings: ExportSettings) -> str:
    """Why a format fails, if it does. The comparisons are written so that NaN fails."""
    if format not in QUANTIZED:
        if not parity.difference <= settings.max_difference:
            return (
                f"{format}'s outputs differ by {parity.difference:.2g} of the largest one, "
                f"at most {settings.max_difference:g} is allowed"
            )
        return ""
    if not parity.typical <= MAX_TYPICAL:
        return f"{format}'s outputs are another model's: they differ by {parity.typical:.2g} of their size"
    if not -parity.metric_change <= settings.max_accuracy_drop:
        return (
            f"{format} loses {-parity.metric_change:.3g} of {metric}, at most {settings.max_accuracy_drop:g} is allowed"
        )
    return ""


def latencies(run: Run, inputs: np.ndarray, seconds: float) -> dict[str, Any]:
    """Microseconds of a call on real examples: ``p50_us_batch1``, ``p99_us_batch1``, and for a batch of 64.

    Args:
        seconds: of measurement for each batch size, after a warm-up call; at least five calls are measured.
    """
    result = {}
    for size in BATCHES:
        batch = np.resize(inputs, (size, *inputs.shape[1:]))
        run(batch)
        times: list[float] = []
        until = time.perf_counter() + seconds
        while time.perf_counter() < until or len(times) < MIN_CALLS:
            start = time.perf_counter()
            run(batch)
            times.append(time.perf_counter() - start)
        for percent in (50, 99):
            result[f"p{percent}_us_batch{size}"] = round(1e6 * float(np.percentile(times, percent)), 1)
    return result
