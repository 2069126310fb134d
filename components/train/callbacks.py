"""Callbacks of the training loop, run by one Keras callback: throughput, progress, watchdog and goodput."""

import time
from collections.abc import Sequence
from typing import Any

import keras

from components.core import progress
from components.train.compiling import learning_rate
from components.train.failure import LossCheck
from components.train.goodput import GoodputTracker
from components.train.settings import TrainingSettings
from components.train.watchdog import Watchdog

REPORT_SECONDS = 0.5


class Callback:
    """Hooks into one epoch; by default they do nothing.

    ``step`` counts the finished steps of the epoch, including those before an interruption. One execution of the graph
    makes several steps. ``logs`` holds the running means of the loss and the metrics; reading one waits for the device.
    """

    def on_epoch_begin(self, epoch: int, step: int) -> None:
        """Before the first execution, after Keras has reset the metrics."""

    def on_train_batch_end(self, step: int, logs: Any) -> None:
        """After an execution."""

    def on_train_epoch_end(self) -> None:
        """After the last execution, before validation."""

    def on_validation_batch_end(self) -> None:
        """After an execution of validation."""

    def on_epoch_end(self, logs: dict[str, float]) -> None:
        """After validation, with all means of the epoch."""


class KerasCallback(keras.callbacks.Callback):
    """Runs callbacks from ``model.fit`` and ``model.evaluate``.

    Args:
        epoch: the current epoch (0, 1, ...).
        first: its steps that were done before an interruption; Keras counts from there.
        steps: all its steps.
    """

    def __init__(self, callbacks: Sequence[Callback], epoch: int, first: int, steps: int) -> None:
        super().__init__()
        self.callbacks, self.epoch, self.first, self.steps = callbacks, epoch, first, steps

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        for callback in self.callbacks:
            callback.on_epoch_begin(self.epoch, self.first)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        # The last execution may make fewer steps than Keras counts.
        step = min(self.first + batch + 1, self.steps)
        for callback in self.callbacks:
            callback.on_train_batch_end(step, logs)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        for callback in self.callbacks:
            callback.on_validation_batch_end()


class Throughput(Callback):
    """Examples per second in training steps alone: without compilation, validation and checkpoints.

    An epoch is timed from the end of its first execution, which may compile.

    Attributes:
        examples: number of examples timed.
        seconds: time they took.
        epoch_rate: examples per second in the last epoch.
    """

    def __init__(self, batch_size: int, steps: int) -> None:
        """For epochs of ``steps`` steps."""
        self.batch_size, self.steps = batch_size, steps
        self.examples, self.seconds, self.epoch_rate = 0, 0.0, 0.0
        self._first, self._step, self._started, self._executed = 0, 0, 0.0, False

    @property
    def rate(self) -> float:
        """Examples per second over all epochs."""
        return self.examples / self.seconds if self.seconds else 0.0

    def current_epoch(self) -> tuple[int, float]:
        """Examples and seconds of the current epoch so far."""
        return (self._step - self._first) * self.batch_size, time.perf_counter() - self._started

    def exclude(self, seconds: float) -> None:
        """Leave out time that something else took."""
        self._started += seconds

    def on_epoch_begin(self, epoch: int, step: int) -> None:
        self._first = self._step = step
        self._started, self._executed = time.perf_counter(), False

    def on_train_batch_end(self, step: int, logs: Any) -> None:
        self._step = step
        if not self._executed and step < self.steps:
            self._first, self._started = step, time.perf_counter()
        self._executed = True

    def on_train_epoch_end(self) -> None:
        examples, seconds = self.current_epoch()
        self.examples += examples
        self.seconds += seconds
        self.epoch_rate = examples / seconds if seconds else 0.0


class ProgressReport(Callback):
    """Reports progress at most twice a second, and checks then that the loss is finite."""

    def __init__(self, settings: TrainingSettings, throughput: Throughput) -> None:
        self.settings, self.throughput, self.loss_check = settings, throughput, LossCheck(settings)
        self.epoch, self.reported = 0, 0.0

    def on_epoch_begin(self, epoch: int, step: int) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, step: int, logs: Any) -> None:
        now = time.perf_counter()
        if now - self.reported < REPORT_SECONDS:
            return
        self.reported = now
        loss = float(logs["loss"])
        self._check("loss", loss, step)
        examples, seconds = self.throughput.current_epoch()
        progress.report(
            "train",
            epoch=self.epoch + 1,
            epochs=self.settings.epochs,
            batch=step,
            batches=self.throughput.steps,
            loss=round(loss, 4),
            rate=round(examples / seconds) if examples else 0,
        )

    def on_epoch_end(self, logs: dict[str, float]) -> None:
        for name in ("loss", "val_loss"):
            if name in logs:
                self._check(name, logs[name], self.throughput.steps)

    def _check(self, name: str, loss: float, step: int) -> None:
        steps = self.throughput.steps
        rate = learning_rate(self.settings, steps * self.settings.epochs, self.epoch * steps + step - 1)
        self.loss_check.check(name, loss, epoch=self.epoch + 1, step=step, rate=rate)


class WatchdogCallback(Callback):
    """Resets the watchdog after each execution."""

    def __init__(self, watchdog: Watchdog) -> None:
        self.watchdog = watchdog

    def on_epoch_begin(self, epoch: int, step: int) -> None:
        self.watchdog.start_phase(f"epoch {epoch + 1}")

    def on_train_batch_end(self, step: int, logs: Any) -> None:
        self.watchdog.reset(step)

    def on_train_epoch_end(self) -> None:
        self.watchdog.start_phase("validation")

    def on_validation_batch_end(self) -> None:
        self.watchdog.reset()


class GoodputCallback(Callback):
    """Accounts for the time of steps, validation and start-up, which ends with the first execution."""

    def __init__(self, goodput: GoodputTracker) -> None:
        self.goodput = goodput
        self._category = "startup"
        self._since, self._accounted = goodput.started, goodput.accounted

    def on_epoch_begin(self, epoch: int, step: int) -> None:
        if self._category != "startup":
            self._restart()

    def on_train_batch_end(self, step: int, logs: Any) -> None:
        self._add(self._category)
        self._category = "steps"

    def on_train_epoch_end(self) -> None:
        # An attempt may have nothing left to do but validation.
        if self._category == "startup":
            self._add(self._category)
        self._restart()

    def on_epoch_end(self, logs: dict[str, float]) -> None:
        self._add("validation")

    def _restart(self) -> None:
        self._since, self._accounted = time.monotonic(), self.goodput.accounted

    def _add(self, category: str) -> None:
        """Add the time since the last entry, except for what has been accounted for meanwhile."""
        passed = time.monotonic() - self._since - (self.goodput.accounted - self._accounted)
        self.goodput.add(category, max(0.0, passed))
        self._restart()
