"""What goes wrong in training and has a name: a loss that is not finite, memory that ran out, a device that is gone.

Usage in the loop::

    finite = failures.Finite(settings)
    finite.check("loss", loss, epoch=3, step=17, rate=learning_rate)      # raises; else it is remembered

    need = failures.need(model, settings.batch_size, device)              # once, after the model was made ready
    try:
        model.fit(...)
    except Exception as error:
        if told := failures.of(error, need, f"epoch {epoch}"):
            raise told from error
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

# What TensorFlow, JAX (XLA) and PyTorch hand on of a device that is not there any more: CUDA's words (CUresult and
# cudaError), NVIDIA's driver's (Xid 79), the TPU runtime's. An illegal address or a failed launch may be a bug.
LOST = re.compile(
    r"(?i)gpu is lost|device (is |was )?lost|fallen off the bus|ecc_uncorrectable|uncorrectable ecc"
    r"|cuda_error_(no_device|device_unavailable|system_not_ready)|no cuda-capable device"
    r"|cuda-capable device\(?s?\)? (is|are|is/are) busy or unavailable"
    r"|core halted unexpectedly|device halted prematurely|tpu worker may have crashed"
)
# Bytes asked for, as each backend says it, the most telling first.
_NUMBER = r"([\d.,]+) ?([KMGT]?i?)B?(?:ytes)?\b"
ASKED = tuple(
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
# Of a device's memory, what a batch can be planned to fill: the rest is fragments and the backend's own.
USABLE = 0.9


class Finite:
    """The losses of a run, as long as they are finite.

    Args:
        settings: for the advice.
    """

    def __init__(self, settings: TrainingSettings) -> None:
        self.half = settings.precision == "mixed_float16"
        self.last: dict[str, tuple[float, int, int]] = {}

    def check(self, what: str, value: float, *, epoch: int, step: int, rate: float) -> None:
        """Remember a finite value.

        Args:
            what: ``loss``, ``val_loss`` or a metric's name.
            epoch, step: where it was seen, counted from 1.
            rate: the learning rate of that step.

        Raises:
            StepError: kind ``model``: it is not finite.
        """
        if math.isfinite(value):
            self.last[what] = (value, epoch, step)
            return
        before = ", ".join(
            f"{name} {seen:.4g} in epoch {at} by step {by}" for name, (seen, at, by) in self.last.items()
        )
        raise StepError(
            f"the {what} is {value} in epoch {epoch} by step {step}, at learning rate {rate:.3g}; "
            + (f"the last finite values: {before}" if before else "no value before it was finite"),
            advice="use a lower training.learning_rate, or training.warmup_steps"
            + (", or training.precision=mixed_bfloat16 or float32" if self.half else ""),
            kind="model",
        )


@dataclass(frozen=True)
class Need:
    """What training asks of one device's memory, in bytes, as far as the layers tell.

    Attributes:
        batch_size: examples a step, over all devices together.
        devices: that share it.
        fixed: weights, their gradients and the optimizer's variables.
        each: one example's activations, and their gradients.
        has: the device's memory; 0 where the backend does not tell.
    """

    batch_size: int
    devices: int
    fixed: int
    each: int
    has: int

    @property
    def total(self) -> int:
        """For a whole step on one device."""
        return self.fixed + self.each * math.ceil(self.batch_size / self.devices)

    def fitting(self, factor: float) -> int:
        """The largest batch, a power of two for each device, whose examples take ``factor`` of what this one's take;
        always smaller than this one. 0 if not even one example for each device does."""
        most = int(min(factor, 0.99) * self.batch_size / self.devices)
        return self.devices * 2 ** (most.bit_length() - 1) if most >= 1 else 0


def need(model: keras.Model, batch_size: int, device: Device) -> Need:
    """What a model asks of a device's memory.

    The outputs of all layers are counted once forward and once backward, in the model's number format; what a backend
    fuses away or a convolution needs aside is not known, so this is an estimate for advice and for nothing else.

    Args:
        model: built and compiled.
        batch_size: examples a step, over all devices together.
    """
    trained = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    kept = sum(math.prod(variable.shape) for variable in (*model.variables, *model.optimizer.variables))
    bits = 16 if device.precision.endswith("16") else 32
    outputs = 0
    for layer in model.layers:
        parts = keras.tree.flatten(layer.output)
        outputs += sum(math.prod(side or 1 for side in part.shape[1:]) for part in parts)
    return Need(batch_size, device.count, 4 * (trained + kept), 2 * outputs * bits // 8, memory.of(device))


def of(error: BaseException, need: Need, where: str) -> StepError | None:
    """The fault that a backend's exception stands for, if it is one of these; None for anything else.

    Args:
        need: of the model that was trained.
        where: such as ``epoch 3``.
    """
    text = " ".join(str(error).split())
    if LOST.search(text):
        return StepError(
            f"an accelerator was lost in {where}: {text[:200]}",
            advice="start the run again, on another node where this one is broken; it continues from its checkpoint",
            kind="resources",
        )
    if not out_of_memory(error):
        return None
    return _too_large(text, need, where)


def _too_large(text: str, need: Need, where: str) -> StepError:
    told = f"out of memory in {where} with batches of {need.batch_size}"
    used = USED.search(text)
    asked = asked_bytes(text)
    if used:
        wanted, there = _bytes(used[1], used[2]), _bytes(used[3], used[4])
        told += f": {memory.said(wanted)} were needed of {memory.said(there)}"
        # What is fixed stays; the rest grows with the batch.
        factor = (there - need.fixed) / (wanted - need.fixed) if wanted > need.fixed else 0.5
    else:
        told += f": {memory.said(asked)} more were asked for" if asked else ""
        told += f", of {memory.said(need.has)} in all" if need.has else ""
        share = need.each * math.ceil(need.batch_size / need.devices)
        factor = (USABLE * need.has - need.fixed) / share if need.has and share else 0.5
        if asked and need.has and asked > need.has:
            factor = min(factor, need.has / asked)
        # The layers' outputs are the least that a step needs: where they would have fitted, half of the batch is a try.
        factor = factor if factor < 1 else 0.5
    fits = need.fitting(factor)
    if not fits:
        advice = "no batch fits by the model's size: use a smaller model or an accelerator with more memory"
    else:
        advice = (
            f"try training.batch_size={fits}, which fits by an estimate, "
            "or a smaller model, or an accelerator with more memory"
        )
    return StepError(told, advice=advice, kind="memory")


def asked_bytes(text: str) -> int:
    """The bytes that a backend's message says were asked for; 0 where it does not."""
    if found := TENSOR.search(text):
        sides = [int(side) for side in found[1].split(",") if side]
        return math.prod(sides) * TYPE_BYTES.get(found[2], 4)
    for pattern in ASKED:
        if found := pattern.search(text):
            return _bytes(found[1], found[2])
    return 0


def _bytes(number: str, unit: str) -> int:
    return int(float(number.replace(",", "").rstrip(".")) * UNITS[unit[:1].lower()])
