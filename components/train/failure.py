"""Failures of training that have a name: a loss that is not finite, memory that ran out, a lost device.

Usage::

    check = LossCheck(settings)
    check.check("loss", loss, epoch=3, step=17, rate=learning_rate)      # raises if it is not finite

    estimate = estimate_memory(model, settings.batch_size, device)       # once, after the model was compiled
    try:
        model.fit(...)
    except Exception as error:
        if named := failure.from_exception(error, estimate, f"epoch {epoch}"):
            raise named from error
        raise
"""

import math
import re
from dataclasses import dataclass

import keras

from components.core import memory
from components.core.devices import Device
from components.core.errors import StepError, out_of_memory
from components.train.settings import TrainingSettings

# What TensorFlow, JAX (XLA) and PyTorch report of a lost device: messages of CUDA (CUresult and cudaError), of NVIDIA's
# driver (Xid 79) and of the TPU runtime. An illegal address or a failed launch may be a bug and is not among them.
DEVICE_LOST = re.compile(
    r"(?i)gpu is lost|device (is |was )?lost|fallen off the bus|ecc_uncorrectable|uncorrectable ecc"
    r"|cuda_error_(no_device|device_unavailable|system_not_ready)|no cuda-capable device"
    r"|cuda-capable device\(?s?\)? (is|are|is/are) busy or unavailable"
    r"|core halted unexpectedly|device halted prematurely|tpu worker may have crashed"
)
# Requested bytes in the messages of the backends, the most specific first.
_NUMBER = r"([\d.,]+) ?([KMGT]?i?)B?(?:ytes)?\b"
REQUESTED = tuple(
    re.compile(pattern + _NUMBER, re.IGNORECASE)
    for pattern in (
        r"tried to allocate ",
        r"trying to allocate ",
        r"attempting to (?:allocate|reserve) ",
        r"out of memory allocating ",
        r"unable to allocate ",
        r"failed to allocate request for ",
    )
)
# XLA for a TPU: "Used 19.08G of 15.48G hbm."
USED = re.compile(rf"used {_NUMBER} of {_NUMBER}", re.IGNORECASE)
# TensorFlow: "OOM when allocating tensor with shape[64,1024,1024] and type float on ...".
TENSOR = re.compile(r"allocating tensor with shape\[([\d,]*)\] and type (\w+)")
TYPE_BYTES = {
    "float": 4,
    "double": 8,
    "half": 2,
    "bfloat16": 2,
    "int32": 4,
    "int64": 8,
    "uint8": 1,
    "int8": 1,
    "bool": 1,
}
UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
# The share of a device's memory that a batch can be planned to fill; fragmentation and the backend take the rest.
USABLE = 0.9


class LossCheck:
    """Checks that losses are finite, and remembers the last finite ones."""

    def __init__(self, settings: TrainingSettings) -> None:
        self.half = settings.precision == "mixed_float16"
        self.last: dict[str, tuple[float, int, int]] = {}

    def check(self, name: str, value: float, *, epoch: int, step: int, rate: float) -> None:
        """Check a value.

        Args:
            name: such as ``loss`` or ``val_loss``.
            epoch, step: counted from 1.
            rate: the learning rate of that step.

        Raises:
            StepError: kind ``model``: it is not finite.
        """
        if math.isfinite(value):
            self.last[name] = (value, epoch, step)
            return
        before = ", ".join(
            f"{name} {seen:.4g} in epoch {at} by step {by}" for name, (seen, at, by) in self.last.items()
        )
        raise StepError(
            f"the {name} is {value} in epoch {epoch} by step {step}, at learning rate {rate:.3g}; "
            + (f"the last finite values: {before}" if before else "no value before it was finite"),
            advice="use a lower training.learning_rate, or training.warmup_steps"
            + (", or training.precision=mixed_bfloat16 or float32" if self.half else ""),
            kind="model",
        )


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes that training needs on one device, estimated from the layers.

    Attributes:
        batch_size: examples per step, over all devices.
        devices: number of devices that share a batch.
        fixed: weights, their gradients and the optimizer's variables.
        per_example: an example's activations and their gradients.
        available: the device's memory; 0 if the backend does not report it.
    """

    batch_size: int
    devices: int
    fixed: int
    per_example: int
    available: int

    def activations(self) -> int:
        """Bytes for one device's share of a batch."""
        return self.per_example * math.ceil(self.batch_size / self.devices)

    def largest_batch(self, factor: float) -> int:
        """The largest batch that is a power of two per device, at most ``factor`` times this one and smaller than it;
        0 if not even one example per device fits."""
        most = int(min(factor, 0.99) * self.batch_size / self.devices)
        return self.devices * 2 ** (most.bit_length() - 1) if most >= 1 else 0


def estimate_memory(model: keras.Model, batch_size: int, device: Device) -> MemoryEstimate:
    """A rough estimate, good enough for advice: the outputs of all layers count once forward and once backward, in the
    model's precision. Fusion by the backend and the workspace of convolutions are not known.

    Args:
        model: compiled.
        batch_size: examples per step, over all devices.
    """
    trained = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    stored = sum(math.prod(variable.shape) for variable in (*model.variables, *model.optimizer.variables))
    bits = 16 if device.precision.endswith("16") else 32
    outputs = 0
    for layer in model.layers:
        tensors = keras.tree.flatten(layer.output)
        outputs += sum(math.prod(side or 1 for side in tensor.shape[1:]) for tensor in tensors)
    per_example = 2 * outputs * bits // 8
    return MemoryEstimate(batch_size, device.count, 4 * (trained + stored), per_example, memory.of_device(device))


def from_exception(error: BaseException, estimate: MemoryEstimate, where: str) -> StepError | None:
    """The failure that a backend's exception stands for; None if it is none of these.

    Args:
        estimate: for the model in training.
        where: such as ``epoch 3``.
    """
    text = " ".join(str(error).split())
    if DEVICE_LOST.search(text):
        return StepError(
            f"an accelerator was lost in {where}: {text[:200]}",
            advice="start the run again, on another node if this one is broken; it resumes from its checkpoint",
            kind="resources",
        )
    return _memory_error(text, estimate, where) if out_of_memory(error) else None


def _memory_error(text: str, estimate: MemoryEstimate, where: str) -> StepError:
    message = f"out of memory in {where} with batches of {estimate.batch_size}"
    if used := USED.search(text):
        needed, available = _bytes(used[1], used[2]), _bytes(used[3], used[4])
        message += f": {memory.format_bytes(needed)} were needed of {memory.format_bytes(available)}"
        # The fixed part stays; the rest is proportional to the batch.
        factor = (available - estimate.fixed) / (needed - estimate.fixed) if needed > estimate.fixed else 0.5
    else:
        requested, activations = requested_bytes(text), estimate.activations()
        message += f": {memory.format_bytes(requested)} more were requested" if requested else ""
        message += f", of {memory.format_bytes(estimate.available)} in all" if estimate.available else ""
        known = estimate.available and activations
        factor = (USABLE * estimate.available - estimate.fixed) / activations if known else 0.5
        if requested and estimate.available and requested > estimate.available:
            factor = min(factor, estimate.available / requested)
        # The layers' outputs are the least that a step needs: if they fit by the estimate, try half of the batch.
        factor = factor if factor < 1 else 0.5
    if batch := estimate.largest_batch(factor):
        advice = (
            f"try training.batch_size={batch}, which should fit by an estimate, "
            "or use a smaller model or an accelerator with more memory"
        )
    else:
        advice = (
            "not even one example per device fits by an estimate: "
            "use a smaller model or an accelerator with more memory"
        )
    return StepError(message, advice=advice, kind="memory")


def requested_bytes(text: str) -> int:
    """The bytes that were requested, from a backend's message; 0 if it does not say."""
    if match := TENSOR.search(text):
        sides = [int(side) for side in match[1].split(",") if side]
        return math.prod(sides) * TYPE_BYTES.get(match[2], 4)
    for pattern in REQUESTED:
        if match := pattern.search(text):
            return _bytes(match[1], match[2])
    return 0


def _bytes(number: str, unit: str) -> int:
    return int(float(number.replace(",", "").rstrip(".")) * UNITS[unit[:1].lower()])
