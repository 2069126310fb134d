"""The epochs: ``model.fit`` one at a time, so that whatever a run knows between two of them is ours to save."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.core import progress
from components.core.devices import Device, out_of_memory
from components.core.errors import StepError
from components.train import inputs
from components.train.checkpoints import Checkpoints, Progress
from components.train.settings import CALL_FLOP, MOST_STEPS_A_CALL, TrainingSettings

if TYPE_CHECKING:
    import keras

REPORT_SECONDS = 0.5
MOMENTUM = 0.9


@dataclass
class Clock:
    """Time spent on training steps alone: no compilation, no validation, no checkpoints."""

    examples: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Examples a second."""
        return self.examples / self.seconds if self.seconds else 0.0


def optimizer(settings: TrainingSettings, steps: int) -> "keras.optimizers.Optimizer":
    """The optimizer with its schedule, for ``steps`` steps in all."""
    import keras

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
        # Decay is for what multiplies inputs (Goyal et al., 2017, arXiv:1706.02677, 5.3).
        made.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return made


def learning_rate(settings: TrainingSettings, steps: int, step: int) -> float:
    """The learning rate at a step (0, 1, ...) of ``steps`` in all."""
    schedule = _schedule(settings, steps)
    return schedule if isinstance(schedule, float) else float(schedule(step))


def _schedule(settings: TrainingSettings, steps: int) -> Any:
    import keras

    peak, warmup = settings.learning_rate, settings.warmup_steps
    if settings.schedule == "cosine":
        if not warmup:
            return keras.optimizers.schedules.CosineDecay(peak, steps)
        return keras.optimizers.schedules.CosineDecay(0.0, steps - warmup, warmup_target=peak, warmup_steps=warmup)
    return keras.optimizers.schedules.PolynomialDecay(0.0, warmup, peak) if warmup else peak


def steps_a_call(model: "keras.Model", batch_size: int, steps: int, device: Device) -> int:
    """How many training steps one call into TensorFlow's graph makes: many for a small model, one for a large one.

    It follows from the model, the data's size and the kind of device, never from a stopwatch, so that runs repeat. An
    epoch makes four calls at least, to have something to report and to time.
    """
    if device.backend != "tensorflow" or device.count > 1:
        return 1  # Keras 3.15's loop over a distributed iterator fails in TensorFlow 2.21: it feeds no placeholder
    flop = 6 * batch_size * multiply_adds(model)  # forward, and twice as much backward
    return max(1, min(MOST_STEPS_A_CALL, steps // 4, int(CALL_FLOP[device.kind] / max(flop, 1))))


def multiply_adds(model: "keras.Model") -> int:
    """Multiplications with weights for one example, from each layer's kernel and the places it is applied at."""
    total = 0
    for layer in model.layers:
        if getattr(layer, "kernel", None) is not None:
            total += math.prod(layer.kernel.shape) * math.prod(side or 1 for side in layer.output.shape[1:-1])
    return total


def make_ready(
    model: "keras.Model",
    arguments: dict[str, Any],
    targets: Any,
    settings: TrainingSettings,
    steps: int,
    device: Device,
) -> None:
    """Compile a model and make its optimizer's and metrics' variables, so that a checkpoint can be laid on it.

    Args:
        arguments: the task's loss and metrics.
        targets: one example's targets with a batch axis; their values do not matter.
        steps: steps an epoch.
    """
    import keras

    model.compile(
        optimizer=optimizer(settings, steps * settings.epochs),
        steps_per_execution=steps_a_call(model, settings.batch_size, steps, device),
        **arguments,
    )
    model.optimizer.build(model.trainable_variables)
    outputs = keras.tree.map_structure(lambda part: keras.ops.zeros((1, *part.shape[1:]), part.dtype), model.output)
    model.compute_metrics(None, targets, outputs)
    model.reset_metrics()


def fit(
    model: "keras.Model",
    train: inputs.Split,
    validation: inputs.Split | None,
    settings: TrainingSettings,
    kept: Checkpoints,
    after_epoch: "Callable[[Progress, float], None]",
) -> tuple[Progress, Clock]:
    """Train from where the checkpoints left off until the epochs or the patience are used up.

    Args:
        model: built, compiled.
        after_epoch: called with the progress and the rate (examples a second) after each epoch.

    Returns:
        What happened, with the best weights in the model where ``patience`` asks for them, and the time it took.

    Raises:
        StepError: the loss is not finite, or memory ran out.
    """
    done = kept.restore(model)
    if done.epochs:
        print(f"resumed after epoch {done.epochs}", flush=True)
    steps = inputs.steps_of(train.count, settings.batch_size, settings.steps_per_epoch, whole_batches=True)
    held_out = None
    if validation:
        most = settings.validation_steps
        checks = inputs.steps_of(validation.count, settings.batch_size, most, whole_batches=False)
        held_out = inputs.in_order(validation, settings.batch_size, checks)
    clock = Clock()
    watch = watching(settings, steps, clock)
    while done.epochs < settings.epochs and not (settings.patience and done.waited >= settings.patience):
        epoch = done.epochs
        data = inputs.shuffled(
            train, settings.batch_size, steps, seed=settings.seed, epoch=epoch, kinds=settings.augmentation
        )
        before = Clock(clock.examples, clock.seconds)
        logs = one_epoch(model, data, held_out, epoch, watch, settings)
        _advance(done, logs, model, settings)
        kept.save(model, done)
        after_epoch(done, Clock(clock.examples - before.examples, clock.seconds - before.seconds).rate)
    if done.best_weights is not None:
        model.set_weights(done.best_weights)
    return done, clock


def one_epoch(
    model: "keras.Model", data: Any, held_out: Any, epoch: int, watch: Any, settings: TrainingSettings
) -> dict[str, float]:
    try:
        history = model.fit(
            data,
            validation_data=held_out,
            epochs=epoch + 1,
            initial_epoch=epoch,
            callbacks=[watch],
            shuffle=False,  # the data come shuffled
            verbose=0,
        )
    except Exception as error:
        if out_of_memory(error):
            raise StepError(
                f"out of memory in epoch {epoch + 1} with batches of {settings.batch_size}",
                advice="use a smaller training.batch_size, a smaller model or an accelerator with more memory",
                kind="resources",
            ) from error
        raise
    return {name: float(values[-1]) for name, values in history.history.items()}


def _advance(done: Progress, logs: dict[str, float], model: "keras.Model", settings: TrainingSettings) -> None:
    """Lay an epoch's values over the progress, and keep the weights if they are the best so far."""
    done.epochs += 1
    for name, value in logs.items():
        done.history.setdefault(name, []).append(value)
    if "val_loss" not in logs:
        return
    if logs["val_loss"] < done.best_loss:
        done.best_loss, done.best_epoch, done.waited = logs["val_loss"], done.epochs, 0
        if settings.patience:
            done.best_weights = [values.copy() for values in model.get_weights()]
    else:
        done.waited += 1


def watching(settings: TrainingSettings, steps: int, clock: Clock) -> "keras.callbacks.Callback":
    """The callback that keeps time, stops at a loss that is not finite, and reports twice a second at most."""
    import keras

    def check(what: str, loss: float, epoch: int, step: int) -> None:
        if not math.isfinite(loss):
            rate = learning_rate(settings, steps * settings.epochs, epoch * steps + step - 1)
            raise StepError(
                f"the {what} is {loss} in epoch {epoch + 1} by step {step}, at learning rate {rate:.3g}",
                advice="use a lower training.learning_rate, or training.warmup_steps",
                kind="model",
            )

    class Watch(keras.callbacks.Callback):
        """One epoch's time starts after its first call, which may compile."""

        epoch, began, first, reported, ended = 0, 0.0, 0, 0.0, False

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.epoch, self.began, self.first, self.ended = epoch, time.perf_counter(), 0, False

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            step, now = min(batch + 1, steps), time.perf_counter()
            if not self.first and step < steps:
                self.first, self.began = step, now
            if now - self.reported >= REPORT_SECONDS:
                self.reported = now
                self._report(step, float(logs["loss"]), now)

        def _report(self, step: int, loss: float, now: float) -> None:
            check("loss", loss, self.epoch, step)
            seen = (step - self.first) * settings.batch_size
            progress.report(
                "train",
                epoch=self.epoch + 1,
                epochs=settings.epochs,
                batch=step,
                batches=steps,
                loss=round(loss, 4),
                rate=round(seen / (now - self.began)) if seen else 0,
            )

        def _end_of_steps(self) -> None:
            if not self.ended:
                self.ended = True
                clock.examples += (steps - self.first) * settings.batch_size
                clock.seconds += time.perf_counter() - self.began

        def on_test_begin(self, logs: Any = None) -> None:
            self._end_of_steps()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self._end_of_steps()
            for name in ("loss", "val_loss"):
                check(name, float(logs.get(name, 0.0)), epoch, steps)

    return Watch()
