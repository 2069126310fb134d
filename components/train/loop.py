"""The training loop: ``model.fit`` for one epoch at a time, so that the whole state can be saved between two epochs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import keras

from components.core import progress
from components.core.devices import Device
from components.core.errors import StepError
from components.train import compiling, failure, input_wait, inputs
from components.train.callbacks import (
    Callback,
    GoodputCallback,
    KerasCallback,
    ProgressReport,
    Throughput,
    WatchdogCallback,
)
from components.train.checkpoint_callback import CheckpointCallback
from components.train.checkpoint_file import TrainingState
from components.train.checkpoint_store import CheckpointStore
from components.train.checkpoint_timer import CheckpointInterval, CheckpointTimer
from components.train.failure import MemoryEstimate
from components.train.goodput import GoodputTracker
from components.train.preemption import sigterm_deferred
from components.train.settings import TrainingSettings, count_steps
from components.train.watchdog import Watchdog


class Fitted(NamedTuple):
    """The outcome of a training.

    Attributes:
        state: after the last epoch.
        throughput: of this attempt.
        goodput: of all attempts.
    """

    state: TrainingState
    throughput: Throughput
    goodput: GoodputTracker


def fit(
    model: keras.Model,
    train: inputs.Split,
    validation: inputs.Split | None,
    settings: TrainingSettings,
    device: Device,
    store: CheckpointStore,
    after_epoch: Callable[[TrainingState, dict[str, float]], None],
    samples: Callable[[int], list[str]] | None = None,
) -> Fitted:
    """Train from the newest checkpoint until all epochs are done or the patience is exhausted.

    With ``patience`` the model ends with its best weights.

    Args:
        model: compiled.
        store: the checkpoints, whose lease the caller holds.
        after_epoch: called after each epoch with the state and the epoch's learning rate and examples per second.
        samples: what the task shows after an epoch, from a seed; it does not change the model.

    Raises:
        StepError: the loss is not finite, memory ran out, a device was lost, a checkpoint belongs to another
            configuration, or (kind ``preempted``) SIGTERM has come.
    """
    steps = count_steps(train.count, settings.batch_size, settings.steps_per_epoch, whole_batches=True)
    validation_data = None
    if validation:
        limit = settings.validation_steps
        validation_steps = count_steps(validation.count, settings.batch_size, limit, whole_batches=False)
        validation_data = inputs.in_order(validation, settings.batch_size, validation_steps)
    state = store.restore(model)
    if state.step or state.epochs:
        progress.log("train", f"resumed {state}" + f" of {steps}" * bool(state.step))
    goodput = GoodputTracker.resume(state.spent, store.load_goodput())
    throughput = Throughput(settings.batch_size, steps)
    estimate = failure.estimate_memory(model, settings.batch_size, device)
    with (
        sigterm_deferred() as stop,
        Watchdog(settings.stall_seconds) as watchdog,
        goodput.saved_periodically(store.save_goodput),
    ):
        timer = CheckpointTimer(CheckpointInterval.from_settings(settings))
        checkpoints = CheckpointCallback(model, store, state, timer, stop, throughput, goodput)
        report = ProgressReport(settings, throughput)
        # Checkpoints come last: they may end the epoch.
        callbacks = (throughput, report, WatchdogCallback(watchdog), GoodputCallback(goodput), checkpoints)
        while state.epochs < settings.epochs and not (settings.patience and state.waited >= settings.patience):
            data = inputs.shuffled(
                train,
                settings.batch_size,
                steps,
                seed=settings.seed,
                epoch=state.epochs,
                kinds=settings.augmentation,
                done=state.step,
            )
            if train.in_memory is None:
                data = input_wait.measured(data, lambda seconds: goodput.move("steps", "input", seconds))
            with _failures_named(estimate, state.epochs + 1):
                logs = one_epoch(model, data, validation_data, state.epochs, callbacks, steps=steps, done=state.step)
            _count_epoch(state, logs, model, settings)
            if samples:
                state.samples.append(samples(inputs.combined_seed(settings.seed, state.epochs, 2)))
            checkpoints.epoch_counted()
            metrics = ", ".join(f"{name} {values[-1]:.4f}" for name, values in state.history.items())
            rate = throughput.epoch_rate
            print(f"epoch {state.epochs}/{settings.epochs}: {metrics}, {rate:,.0f} examples/s", flush=True)
            learning_rate = compiling.learning_rate(settings, steps * settings.epochs, state.epochs * steps - 1)
            after_epoch(state, {"learning_rate": learning_rate, "examples_per_second": rate})
        if store.outlives:
            checkpoints.save()
    if state.best_weights is not None:
        model.set_weights(state.best_weights)
    return Fitted(state, throughput, goodput)


@contextmanager
def _failures_named(estimate: MemoryEstimate, epoch: int) -> Iterator[None]:
    try:
        yield
    except StepError:
        raise
    except Exception as error:
        if named := failure.from_exception(error, estimate, f"epoch {epoch}"):
            raise named from error
        raise


def one_epoch(
    model: keras.Model,
    data: Any,
    validation_data: Any,
    epoch: int,
    callbacks: Sequence[Callback],
    *,
    steps: int,
    done: int = 0,
) -> dict[str, float]:
    """Train for one epoch and validate.

    Args:
        data: the remaining batches of the epoch.
        validation_data: batches; None for no validation.
        epoch: 0, 1, ...
        steps: all steps of the epoch.
        done: its steps that were done before an interruption.

    Returns:
        The means of the loss and the metrics over the whole epoch, those of validation with the prefix ``val_``.

    Raises:
        StepError: raised by a callback.
    """
    runner = KerasCallback(callbacks, epoch, done, steps)
    if done < steps:
        model.fit(data, epochs=epoch + 1, initial_epoch=epoch, callbacks=[runner], shuffle=False, verbose=0)
    else:  # interrupted after the last step
        runner.on_epoch_begin(epoch)
    logs = {name: float(mean) for name, mean in sorted(model.get_metrics_result().items())}
    for callback in callbacks:
        callback.on_train_epoch_end()
    if validation_data is not None:
        means = model.evaluate(validation_data, callbacks=[runner], return_dict=True, verbose=0)
        logs |= {f"val_{name}": float(mean) for name, mean in sorted(means.items())}
    for callback in callbacks:
        callback.on_epoch_end(logs)
    return logs


def _count_epoch(state: TrainingState, logs: dict[str, float], model: keras.Model, settings: TrainingSettings) -> None:
    """Add an epoch to the state, and set its weights aside if they are the best so far."""
    state.epochs, state.step = state.epochs + 1, 0
    for name, value in logs.items():
        state.history.setdefault(name, []).append(value)
    if "val_loss" not in logs:
        return
    if logs["val_loss"] < state.best_loss:
        state.best_loss, state.best_epoch, state.waited = logs["val_loss"], state.epochs, 0
        if settings.patience:
            state.best_weights = [values.copy() for values in model.get_weights()]
    else:
        state.waited += 1
