"""The epochs: ``model.fit`` one at a time, so that whatever a run knows between two of them is ours to save."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import keras

from components.core.devices import Device
from components.core.errors import StepError
from components.train import compiling, failures, inputs, watchdog
from components.train.callbacks import Part, Watch
from components.train.checkpoint_callback import Saver
from components.train.checkpoint_file import Progress
from components.train.checkpoint_store import Checkpoints
from components.train.checkpoint_timer import Interval, Rhythm
from components.train.epoch_callbacks import Account, Clock, Heart, Report
from components.train.goodput import Ledger
from components.train.input_wait import timed
from components.train.preemption import held
from components.train.settings import TrainingSettings, count_steps
from components.train.telling import say


class Fitted(NamedTuple):
    """What a training came to.

    Attributes:
        done: how far it went; all its epochs.
        clock: the speed of this attempt.
        ledger: where the seconds of all attempts went.
    """

    done: Progress
    clock: Clock
    ledger: Ledger


def fit(
    model: keras.Model,
    train: inputs.Split,
    validation: inputs.Split | None,
    settings: TrainingSettings,
    device: Device,
    kept: Checkpoints,
    after_epoch: Callable[[Progress, dict[str, float]], None],
    samples: Callable[[int], list[str]] | None = None,
) -> Fitted:
    """Train from where the checkpoints left off until the epochs or the patience are used up.

    The model ends with its best weights where ``patience`` asks for them.

    Args:
        model: built, compiled.
        kept: its checkpoints, whose lease is held.
        after_epoch: called after each epoch with the progress, and the epoch's learning rate and examples a second.
        samples: what the task shows after an epoch, given a seed; it leaves the model as it is.

    Raises:
        StepError: the loss is not finite, memory ran out, a device was lost, a checkpoint is of another configuration,
            or (kind ``preempted``) SIGTERM has come.
    """
    steps = count_steps(train.count, settings.batch_size, settings.steps_per_epoch, whole_batches=True)
    held_out = None
    if validation:
        most = settings.validation_steps
        checks = count_steps(validation.count, settings.batch_size, most, whole_batches=False)
        held_out = inputs.in_order(validation, settings.batch_size, checks)
    done = kept.restore(model)
    if done.step or done.epochs:
        say(f"resumed {done}" + f" of {steps}" * bool(done.step))
    ledger = Ledger.resumed(done.spent, kept.spent())
    clock = Clock(settings.batch_size, steps)
    need = failures.need(model, settings.batch_size, device)
    with held() as stop, watchdog.watching(settings.stall_seconds) as heart, ledger.marked(kept.note_spent):
        saver = Saver(model, kept, done, Rhythm(Interval.of(settings)), stop, clock, ledger)
        # The saver comes last: it may end the epoch.
        parts = (clock, Report(settings, clock), Heart(heart), Account(ledger), saver)
        while done.epochs < settings.epochs and not (settings.patience and done.waited >= settings.patience):
            data = inputs.shuffled(
                train,
                settings.batch_size,
                steps,
                seed=settings.seed,
                epoch=done.epochs,
                kinds=settings.augmentation,
                done=done.step,
            )
            if train.held is None:
                data = timed(data, lambda seconds: ledger.moved("steps", "input", seconds))
            with _named(need, done.epochs + 1):
                logs = one_epoch(model, data, held_out, done.epochs, parts, steps=steps, done=done.step)
            _advance(done, logs, model, settings)
            if samples:
                done.samples.append(samples(inputs.mixed(settings.seed, done.epochs, 2)))
            saver.epoch_over()
            values = ", ".join(f"{name} {values[-1]:.4f}" for name, values in done.history.items())
            print(f"epoch {done.epochs}/{settings.epochs}: {values}, {clock.epoch_rate:,.0f} examples/s", flush=True)
            learning_rate = compiling.learning_rate(settings, steps * settings.epochs, done.epochs * steps - 1)
            after_epoch(done, {"learning_rate": learning_rate, "examples_per_second": clock.epoch_rate})
    if done.best_weights is not None:
        model.set_weights(done.best_weights)
    return Fitted(done, clock, ledger)


@contextmanager
def _named(need: failures.Need, epoch: int) -> Iterator[None]:
    """A backend's failures by their names."""
    try:
        yield
    except StepError:
        raise
    except Exception as error:
        if told := failures.of(error, need, f"epoch {epoch}"):
            raise told from error
        raise


def one_epoch(
    model: keras.Model,
    data: Any,
    held_out: Any,
    epoch: int,
    parts: Sequence[Part],
    *,
    steps: int,
    done: int = 0,
) -> dict[str, float]:
    """Train on one epoch's batches and validate.

    Args:
        data: the batches that are left of it.
        held_out: the validation batches; None for no validation.
        epoch: 0, 1, ...
        parts: what looks on.
        steps: all steps of the epoch.
        done: steps done before an interruption.

    Returns:
        The means of the loss and the metrics over the whole epoch, and with ``val_`` those of validation.

    Raises:
        StepError: what a part raises.
    """
    watch = Watch(parts, epoch, done, steps)
    if done < steps:
        model.fit(data, epochs=epoch + 1, initial_epoch=epoch, callbacks=[watch], shuffle=False, verbose=0)
    else:  # interrupted after the last step
        watch.on_epoch_begin(epoch)
    logs = {name: float(mean) for name, mean in sorted(model.get_metrics_result().items())}
    for part in parts:
        part.steps_end()
    if held_out is not None:
        found = model.evaluate(held_out, callbacks=[watch], return_dict=True, verbose=0)
        logs |= {f"val_{name}": float(mean) for name, mean in sorted(found.items())}
    for part in parts:
        part.epoch_ends(logs)
    return logs


def _advance(done: Progress, logs: dict[str, float], model: keras.Model, settings: TrainingSettings) -> None:
    """Lay an epoch's values over the progress, and keep the weights if they are the best so far."""
    done.epochs, done.step = done.epochs + 1, 0
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
