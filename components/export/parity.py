"""Checks that a written format answers like the Keras model that was judged, on real test examples, and times it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from components.core import archives
from components.core.errors import StepError
from components.core.examples import Examples
from components.export.runtime import QUANTIZED, run_all, told

if TYPE_CHECKING:
    import numpy as np

    from components.export.runtime import Run
    from components.export.settings import ExportSettings

# A quantized format may stray in single outputs, yet not on the whole: the root mean square of its differences
# relative to that of the outputs. Permuted or unrelated outputs come to about 1 or more, int8 to a few hundredths.
MOST_TYPICAL = 0.5
# evaluate may have run in bfloat16 what is exported in float32: 8 bits of mantissa lose about a hundredth in a deep
# network, and another model's outputs differ by a half or more. The same precision differs in the last digits only.
MIXED_TYPICAL, SAME_TYPICAL = 0.1, 1e-3
BATCHES = (1, 64)
LEAST_CALLS = 5


@dataclass(frozen=True)
class Sample:
    """Test examples with what the Keras model says of them.

    Attributes:
        batch: the examples' arrays, [n, ...] each.
        inputs: what the model takes of them.
        outputs: float32 [n, units].
        correct: the task's paired metric of each, float64 [n].
    """

    batch: "dict[str, np.ndarray]"
    inputs: "np.ndarray"
    outputs: "np.ndarray"
    correct: "np.ndarray"


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


def sample(data: Examples, task: ModuleType, run: "Run", count: int) -> Sample:
    """``count`` examples of the test split, or all there are; shuffled, because data may lie sorted by class."""
    batch = first(data, "test", count, seed=0)
    inputs, _ = task.inputs_and_targets(batch)
    outputs = run_all(run, inputs)
    return Sample(batch, inputs, outputs, task.correct(outputs, batch))


def first(data: Examples, split: str, count: int, seed: int) -> "dict[str, np.ndarray]":
    """Arrays of a split's first examples in the order of a seed."""
    count = min(count, data.require(split))
    tensors = next(iter(data.batches(split, count, shuffle_seed=seed)))
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def check_recorded(found: Sample, recorded: Path, mixed: bool) -> None:
    """Compare the model with what evaluate recorded of it: model, data and verdict must belong together.

    Args:
        recorded: predictions.npz with key, label and logits of every test example.
        mixed: whether the model was trained, and so judged, in mixed precision.

    Raises:
        StepError: an example is unknown to evaluate, has another label, or the model's outputs are others.
    """
    import numpy as np

    try:
        arrays = archives.arrays(recorded)
        keys, labels, outputs = (arrays[name] for name in ("key", "label", "logits"))
    except archives.DAMAGED as error:
        raise _mixup(f"{recorded.name} of the verdict cannot be read ({error})") from None
    places = {str(key): number for number, key in enumerate(keys.tolist())}
    wanted = [key.decode() if isinstance(key, bytes) else str(key) for key in found.batch["key"].tolist()]
    if unknown := [key for key in wanted if key not in places]:
        raise _mixup(f"evaluate never saw the test example {unknown[0]}")
    rows = np.array([places[key] for key in wanted])
    other = np.flatnonzero(labels[rows] != found.batch["label"])
    if other.size:
        raise _mixup(f"evaluate saw another label of the test example {wanted[other[0]]}")
    _, typical = (
        differences(found.outputs, outputs[rows]) if outputs[rows].shape == found.outputs.shape else (0, np.inf)
    )
    if not typical <= (MIXED_TYPICAL if mixed else SAME_TYPICAL):
        raise _mixup(f"the model's outputs are not those that evaluate recorded (they differ by {typical:.2g})")


def _mixup(what: str) -> StepError:
    return StepError(what, advice="model, data and verdict must come from one run: evaluate again", kind="model")


def differences(reference: "np.ndarray", outputs: "np.ndarray") -> tuple[float, float]:
    """The largest and the typical (root mean square) difference, relative to the reference's largest and typical."""
    import numpy as np

    apart = outputs.astype(np.float64) - reference
    largest, typical = np.abs(reference).max(), np.sqrt(np.mean(np.square(reference, dtype=np.float64)))
    # A model that gives nothing but zeros has no scale.
    return float(np.abs(apart).max() / (largest or 1)), float(np.sqrt(np.mean(apart**2)) / (typical or 1))


def compare(format: str, run: "Run", found: Sample, task: ModuleType, settings: "ExportSettings") -> Parity:
    """Run a format through its own runtime, the first example alone and then all in batches, and compare."""
    import numpy as np

    try:
        alone, outputs = run(found.inputs[:1]), run_all(run, found.inputs)
    except Exception as error:  # each runtime raises its own kinds
        return Parity(np.inf, np.inf, np.nan, f"{format} does not run: {told(error)}")
    if outputs.shape != found.outputs.shape or alone.shape != found.outputs[:1].shape:
        shapes = f"{format} gives outputs of shape {list(outputs.shape)}, the model {list(found.outputs.shape)}"
        return Parity(np.inf, np.inf, np.nan, shapes)
    # What an example's neighbours are must not matter.
    pairs = differences(found.outputs, outputs), differences(found.outputs[:1], alone)
    difference, typical = (max(values) for values in zip(*pairs, strict=True))
    change = float(task.correct(outputs, found.batch).mean() - found.correct.mean())
    parity = Parity(difference, typical, change, "")
    return Parity(difference, typical, change, _problem(format, parity, task.PAIRED_METRIC, settings))


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


def require(found: Mapping[str, Parity]) -> None:
    """Refuse formats that are not the model.

    Raises:
        StepError: what is wrong with the first, and which others fail.
    """
    failing = {name: parity.problem for name, parity in found.items() if parity.problem}
    if not failing:
        return
    name, *others = failing
    also = f"; {', '.join(others)} fail too" if others else ""
    raise StepError(
        f"parity: {failing[name]}{also}",
        advice=f"the champion stays; leave {name} out of export.formats, or allow more (export.max_difference, "
        "export.max_accuracy_drop)",
        kind="model",
    )


def timed(run: "Run", inputs: "np.ndarray", seconds: float) -> dict[str, Any]:
    """Microseconds of a call on real examples: ``p50_us_batch1``, ``p99_us_batch1``, and for a batch of 64.

    Args:
        seconds: how long to measure each batch size, after a call to warm up; at least five calls.
    """
    import numpy as np

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
