"""Writes checkpoints within an epoch and after it: when they are due, and on preemption."""

import time
from typing import Any

import keras

from components.train.callbacks import Callback, Throughput
from components.train.checkpoint_file import TrainingState
from components.train.checkpoint_store import CheckpointStore
from components.train.checkpoint_timer import CheckpointTimer
from components.train.goodput import GoodputTracker
from components.train.preemption import StopRequest


class CheckpointCallback(Callback):
    """Saves the model and the state of its training.

    Keras resets the metrics when an epoch begins, and uses the same ones for validation. So their values are put back
    when a resumed epoch begins, and set aside during validation.
    """

    def __init__(
        self,
        model: keras.Model,
        store: CheckpointStore,
        state: TrainingState,
        timer: CheckpointTimer,
        stop: StopRequest,
        throughput: Throughput,
        goodput: GoodputTracker,
    ) -> None:
        """For a model that is new or was just restored, with its state."""
        self.model, self.store, self.state = model, store, state
        self.timer, self.stop, self.throughput, self.goodput = timer, stop, throughput, goodput
        self._saved = (state.epochs, state.step)
        self._metrics: list[Any] | None = self._metric_values() if state.step else None

    def on_epoch_begin(self, epoch: int, step: int) -> None:
        self._put_back_metrics()

    def on_train_batch_end(self, step: int, logs: Any) -> None:
        self.state.step = step
        self.store.check(ask=False)
        if self.stop.received or self.timer.due(epoch_end=False):
            self.save()
        self.stop.check(str(self.state))

    def on_train_epoch_end(self) -> None:
        self._metrics = self._metric_values()

    def on_validation_batch_end(self) -> None:
        if self.stop.received:
            self._put_back_metrics()
            self.save()
        self.stop.check(str(self.state))

    def epoch_counted(self) -> None:
        """Call it as soon as ``state`` counts the epoch.

        Raises:
            StepError: kind ``preempted``: SIGTERM has come.
        """
        self._metrics = None
        if self.stop.received or self.timer.due(epoch_end=True):
            self.save()
        self.stop.check(str(self.state))

    def save(self) -> None:
        """Write a checkpoint, unless the last one has this state."""
        if self._saved == (self.state.epochs, self.state.step):
            return
        started = time.perf_counter()
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()  # within an epoch JAX holds the values outside of the variables
        self.state.spent = self.goodput.snapshot()
        with self.goodput.measure("checkpoints"):
            self.store.save(self.model, self.state)
        seconds = time.perf_counter() - started
        self._saved = (self.state.epochs, self.state.step)
        self.timer.written(seconds)
        self.throughput.exclude(seconds)

    def _metric_values(self) -> list[Any]:
        return [keras.ops.convert_to_numpy(variable).copy() for variable in self.model.metrics_variables]

    def _put_back_metrics(self) -> None:
        if self._metrics is not None:
            for variable, value in zip(self.model.metrics_variables, self._metrics, strict=True):
                variable.assign(value)
            self._metrics = None
