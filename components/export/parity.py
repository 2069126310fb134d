"""Checks that a written format answers like the Keras model that was judged, on real test examples, and times it."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components.core import archives
from components.core.errors import StepError
from components.core.examples import PreparedData
from components.core.inference import CHUNK, Predictor, Run
from components.export.runtime import QUANTIZED, told
from components.tasks.contract import Arrays, Evaluation

if TYPE_CHECKING:
    from components.export.settings import ExportSettings

# A quantized format may stray in single outputs, yet not on the whole: the root mean square of its differences
# relative to that of the outputs. Permuted or unrelated outputs come to about 1 or more, int8 to a few hundredths.
MOST_TYPICAL = 0.5
# evaluate may have run in bfloat16 what is exported in float32: 8 bits of mantissa lose about a hundredth in a deep
# network, and another model's outputs differ by a half or more. The same precision differs in the last figures only.
MIXED_TYPICAL, SAME_TYPICAL = 0.1, 1e-3
# Answers that jump, such as a decoded text, are compared by what they are worth: the mean difference of the paired
# metric, example by example. Another model's differ by more.
OTHER_ANSWERS = 0.1
BATCHES = (1, 64)
LEAST_CALLS = 5


@dataclass(frozen=True)
class Sample:
    """Test examples with what the Keras model says of them.

    Attributes:
        batch: the examples' arrays, [n, ...] each.
        inputs: what the network takes of them, [n, ...].
        outputs: float32 [n, ...].
        predicted: the task's predictions, [n, ...] each.
        paired: the task's paired metric of each, float64 [n].
        assets: what turned contents into inputs.
    """

    batch: Arrays
    inputs: np.ndarray
    outputs: np.ndarray
    predicted: Arrays
    paired: np.ndarray
    assets: dict[str, Any]


@dataclass(frozen=True)
class Parity:
    """How a format's outputs differ from the Keras model's.

    Attributes:
        difference: the largest difference in any output, relative to the largest output.
        typical: the root mean square of the differences, relative to that of the outputs.
        metric_change: the paired metric's mean, the format's less the Keras model's.
        problem: what is wrong, or an empty string.
    """

    difference: float
    typical: float
    metric_change: float
    problem: str


def sample(
    data: PreparedData, role: Evaluation[Any, Any], predictor: Predictor, assets: dict[str, Any], count: int
) -> Sample:
    """``count`` examples of the test split, or all there are; shuffled, because data may be sorted by class."""
    batch = first(data, "test", count, seed=0)
    inputs = role.encode(batch[role.content], assets)
    outputs = predictor.run_all(inputs)
    predicted = predict(role, predictor, batch, assets)
    paired = role.example_metric(predicted, role.truth(batch))
    return Sample(batch, inputs, outputs, predicted, paired, assets)


def predict(role: Evaluation[Any, Any], predictor: Predictor, batch: Arrays, assets: dict[str, Any]) -> Arrays:
    """The task's predictions, a chunk of the examples at a time."""
    parts = []
    for start in range(0, len(batch["key"]), CHUNK):
        rows = {name: array[start : start + CHUNK] for name, array in batch.items()}
        parts.append(role.predict(predictor, rows, assets))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def first(data: PreparedData, split: str, count: int, seed: int) -> Arrays:
    """Arrays of a split's first examples in the order of a seed."""
    count = min(count, data.require(split))
    tensors = next(iter(data.batches(split, count, shuffle_seed=seed)))
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def check_recorded(found: Sample, role: Evaluation[Any, Any], recorded: Path, mixed: bool) -> None:
    """Compare the model with what evaluate recorded of it: model, data and verdict must belong together.

    Args:
        recorded: predictions.npz, as evaluate wrote it.
        mixed: whether the model was trained, and so judged, in mixed precision.

    Raises:
        StepError: an example is unknown to evaluate, its truth is another, or the model's answers are others.
    """
    try:
        arrays = archives.arrays(recorded)
        keys = arrays["key"]
    except archives.DAMAGED as error:
        raise _mixup(f"{recorded.name} of the verdict cannot be read ({error})") from None
    places = {str(key): number for number, key in enumerate(keys.tolist())}
    wanted = [key.decode() if isinstance(key, bytes) else str(key) for key in found.batch["key"].tolist()]
    if unknown := [key for key in wanted if key not in places]:
        raise _mixup(f"evaluate never saw the test example {unknown[0]}")
    rows = np.array([places[key] for key in wanted])
    for name, values in role.truth(found.batch).items():
        if name != "key" and (other := _others(arrays.get(f"true_{name}"), values, rows)):
            raise _mixup(f"evaluate saw another {name} of the test example {wanted[other[0]]}")
    limit = MIXED_TYPICAL if mixed else SAME_TYPICAL
    for name in role.exact:
        kept, values = arrays.get(name), found.predicted[name]
        alike = kept is not None and kept.shape[1:] == values.shape[1:]
        typical = differences(values, kept[rows])[1] if alike and kept is not None else np.inf
        if not typical <= limit:
            raise _mixup(f"the model's {name} are not those that evaluate recorded (they differ by {typical:.2g})")
    if not role.exact:
        known = {name: arrays[name][rows] for name in found.predicted if name in arrays}
        then = role.example_metric(known, role.truth(found.batch)) if len(known) == len(found.predicted) else np.inf
        apart = float(np.mean(np.abs(found.paired - then)))
        if not apart <= OTHER_ANSWERS:
            raise _mixup(f"the model's answers are not those that evaluate recorded (they differ by {apart:.2g})")


def _others(kept: np.ndarray | None, values: np.ndarray, rows: np.ndarray) -> list[int]:
    """The places at which what was kept is not what is there."""
    if kept is None or kept.shape[1:] != values.shape[1:]:
        return [0]
    same = kept[rows] == (values.astype(kept.dtype) if values.dtype == object else values)
    return np.flatnonzero(~same.reshape(len(rows), -1).all(axis=1)).tolist()


def _mixup(what: str) -> StepError:
    return StepError(what, advice="model, data and verdict must come from one run: evaluate again", kind="model")


def differences(reference: np.ndarray, outputs: np.ndarray) -> tuple[float, float]:
    """The largest and the typical (root mean square) difference, relative to the reference's largest and typical."""
    apart = outputs.astype(np.float64) - reference
    largest, typical = np.abs(reference).max(), np.sqrt(np.mean(np.square(reference, dtype=np.float64)))
    # A model that gives nothing but zeros has no scale.
    return float(np.abs(apart).max() / (largest or 1)), float(np.sqrt(np.mean(apart**2)) / (typical or 1))


def compare(
    format: str,
    predictor: Predictor,
    found: Sample,
    role: Evaluation[Any, Any],
    settings: "ExportSettings",
    serving: "Run | None" = None,
) -> Parity:
    """Run a format through its own runtime, the first example alone and then all in batches, and compare.

    Args:
        serving: contents to outputs, where the format has that, too.
    """
    try:
        alone, outputs = predictor.run(found.inputs[:1]), predictor.run_all(found.inputs)
        said = predict(role, predictor, found.batch, found.assets)
        contents = found.batch[role.content]
        served = Predictor(serving).run_all(contents) if serving else found.outputs
    except Exception as error:  # each runtime raises its own kinds
        return Parity(np.inf, np.inf, np.nan, f"{format} does not run: {told(error)}")
    if {outputs.shape, served.shape} != {found.outputs.shape} or alone.shape != found.outputs[:1].shape:
        shapes = f"{format} gives outputs of shape {list(outputs.shape)}, the model {list(found.outputs.shape)}"
        return Parity(np.inf, np.inf, np.nan, shapes)
    # What an example's neighbours are must not matter.
    pairs = [
        differences(found.outputs, outputs),
        differences(found.outputs[:1], alone),
        differences(found.outputs, served),
    ]
    difference, typical = (max(values) for values in zip(*pairs, strict=True))
    change = float(role.example_metric(said, role.truth(found.batch)).mean() - found.paired.mean())
    parity = Parity(difference, typical, change, "")
    return Parity(difference, typical, change, _problem(format, parity, role.settings.paired_metric, settings))


def _problem(format: str, parity: Parity, metric: str, settings: "ExportSettings") -> str:
    """Each bound is asked whether it holds: NaN holds none."""
    if format not in QUANTIZED:
        if not parity.difference <= settings.max_difference:
            return (
                f"{format}'s outputs differ by {parity.difference:.2g} of the largest one, "
                f"at most {settings.max_difference:g} is allowed"
            )
        return ""
    if not parity.typical <= MOST_TYPICAL:
        return f"{format}'s outputs are another model's: they differ by {parity.typical:.2g} of their size"
    if not -parity.metric_change <= settings.max_accuracy_drop:
        return (
            f"{format} loses {-parity.metric_change:.3g} of {metric}, at most {settings.max_accuracy_drop:g} is allowed"
        )
    return ""


def timed(run: Run, inputs: np.ndarray, seconds: float) -> dict[str, Any]:
    """Microseconds of a call on real examples: ``p50_us_batch1``, ``p99_us_batch1``, and for a batch of 64.

    Args:
        seconds: how long to measure each batch size, after a call to warm up; at least five calls.
    """
    found = {}
    for size in BATCHES:
        batch = np.resize(inputs, (size, *inputs.shape[1:]))
        run(batch)
        times: list[float] = []
        until = time.perf_counter() + seconds
        while time.perf_counter() < until or len(times) < LEAST_CALLS:
            began = time.perf_counter()
            run(batch)
            times.append(time.perf_counter() - began)
        for percent in (50, 99):
            found[f"p{percent}_us_batch{size}"] = round(1e6 * float(np.percentile(times, percent)), 1)
    return found
