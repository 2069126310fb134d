"""Compiles a model: its optimizer with the schedule, and the steps per execution."""

import math
from dataclasses import replace
from typing import Any

import keras

from components.core.devices import Device
from components.train.settings import EXECUTION_FLOP, MAX_STEPS_PER_EXECUTION, TrainingSettings

MOMENTUM = 0.9


def optimizer(settings: TrainingSettings, steps: int) -> keras.optimizers.Optimizer:
    """The optimizer for a training of ``steps`` steps."""
    common: dict[str, Any] = {
        "learning_rate": _schedule(settings, steps),
        "weight_decay": settings.weight_decay or None,
    }
    match settings.optimizer:
        case "adam":
            made = keras.optimizers.Adam(**common)
        case "adamw":
            made = keras.optimizers.AdamW(**common | {"weight_decay": settings.weight_decay})
        case "sgd":
            made = keras.optimizers.SGD(momentum=MOMENTUM, **common)
    if settings.weight_decay:
        # Only weights that multiply inputs decay (Goyal et al., 2017, arXiv:1706.02677, 5.3).
        made.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return made


def in_precision(device: Device, policy: str) -> Device:
    """Let the layers that are built from now on compute in a precision, until the device's configuration ends."""
    keras.config.set_dtype_policy(policy)
    return replace(device, precision=policy)


def learning_rate(settings: TrainingSettings, steps: int, step: int) -> float:
    """The learning rate at a step (0, 1, ...) of a training of ``steps`` steps."""
    schedule = _schedule(settings, steps)
    return schedule if isinstance(schedule, float) else float(schedule(step))


def _schedule(settings: TrainingSettings, steps: int) -> Any:
    peak, warmup = settings.learning_rate, settings.warmup_steps
    if settings.schedule == "cosine":
        if not warmup:
            return keras.optimizers.schedules.CosineDecay(peak, steps)
        return keras.optimizers.schedules.CosineDecay(0.0, steps - warmup, warmup_target=peak, warmup_steps=warmup)
    return keras.optimizers.schedules.PolynomialDecay(0.0, warmup, peak) if warmup else peak


def steps_per_execution(model: keras.Model, batch_size: int, steps: int, device: Device) -> int:
    """Training steps per execution of TensorFlow's graph: many for a small model, one for a large one.

    The number follows from the model, the data's size and the kind of device, never from a measurement, so that runs
    are repeatable. An epoch has at least four executions, so that there is something to report and to time.
    """
    if device.backend != "tensorflow" or device.count > 1:
        return 1  # Keras 3.15's loop over a distributed iterator fails in TensorFlow 2.21: it feeds no placeholder
    flop = 6 * batch_size * multiply_adds(model)  # forward, and twice as much backward
    return max(1, min(MAX_STEPS_PER_EXECUTION, steps // 4, int(EXECUTION_FLOP[device.kind] / max(flop, 1))))


def multiply_adds(model: keras.Model) -> int:
    """Multiplications with weights for one example: each kernel's size times the positions it is applied at. Kernels
    inside a layer, such as a Transformer block, count at the positions of that layer's input or output."""
    total = 0
    for layer in model.layers:
        if getattr(layer, "kernel", None) is not None:
            total += math.prod(layer.kernel.shape) * _positions(layer.output)
            continue
        inner = [
            part for part in layer._flatten_layers(include_self=False) if getattr(part, "kernel", None) is not None
        ]
        if inner:
            positions = max(_positions(layer.input), _positions(layer.output))
            total += positions * sum(math.prod(part.kernel.shape) for part in inner)
    return total


def _positions(tensors: Any) -> int:
    """The largest number of positions in one example; the values of a position are along the last axis."""
    return max(int(math.prod(side or 1 for side in tensor.shape[1:-1])) for tensor in keras.tree.flatten(tensors))


def compile_model(
    model: keras.Model,
    arguments: dict[str, Any],
    targets: Any,
    settings: TrainingSettings,
    steps: int,
    device: Device,
) -> None:
    """Compile a model and create the variables of its optimizer and metrics, so that a checkpoint can be restored.

    Args:
        arguments: the task's loss and metrics.
        targets: one example's targets with a batch axis; their values do not matter.
        steps: steps per epoch.
    """
    model.compile(
        optimizer=optimizer(settings, steps * settings.epochs),
        steps_per_execution=steps_per_execution(model, settings.batch_size, steps, device),
        **arguments,
    )
    model.optimizer.build(model.trainable_variables)
    outputs = keras.tree.map_structure(lambda part: keras.ops.zeros((1, *part.shape[1:]), part.dtype), model.output)
    model.compute_metrics(None, targets, outputs)
    model.reset_metrics()
