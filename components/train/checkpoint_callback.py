"""Writes checkpoints inside an epoch and after it, when they are due and when the machine is about to be taken away."""

import time
from typing import Any

import keras

from components.train.callbacks import Part
from components.train.checkpoint_file import Progress
from components.train.checkpoint_store import Checkpoints
from components.train.checkpoint_timer import Rhythm
from components.train.epoch_callbacks import Clock
from components.train.goodput import Ledger
from components.train.preemption import Stop


class Saver(Part):
    """The part of an epoch that saves it.

    Keras sets the metrics back when an epoch begins, and uses the same ones for validation: their sums are laid back
    when a resumed epoch begins, and kept aside during validation.
    """

    def __init__(
        self,
        model: keras.Model,
        kept: Checkpoints,
        done: Progress,
        rhythm: Rhythm,
        stop: Stop,
        clock: Clock,
        ledger: Ledger,
    ) -> None:
        """For a model that was just restored, or is new, with what that says about the progress."""
        self.model, self.kept, self.done = model, kept, done
        self.rhythm, self.stop, self.clock, self.ledger = rhythm, stop, clock, ledger
        self._saved = (done.epochs, done.step)
        self._sums: list[Any] | None = self._sums_now() if done.step else None

    def epoch_begins(self, epoch: int, step: int) -> None:
        self._lay_back()

    def call_ends(self, step: int, logs: Any) -> None:
        self.done.step = step
        if self.stop.asked or self.rhythm.due(epoch_over=False):
            self.save()
        self.stop.check(str(self.done))

    def steps_end(self) -> None:
        self._sums = self._sums_now()

    def validation_call_ends(self) -> None:
        if self.stop.asked:
            self._lay_back()
            self.save()
        self.stop.check(str(self.done))

    def epoch_over(self) -> None:
        """Call it when ``done`` counts the epoch.

        Raises:
            StepError: kind ``preempted``: SIGTERM has come.
        """
        self._sums = None
        if self.stop.asked or self.rhythm.due(epoch_over=True):
            self.save()
        self.stop.check(str(self.done))

    def save(self) -> None:
        """Write a checkpoint, unless the last one says the same."""
        if self._saved == (self.done.epochs, self.done.step):
            return
        began = time.perf_counter()
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()  # inside an epoch JAX holds the values aside
        self.done.spent = self.ledger.state()
        with self.ledger.spending("checkpoints"):
            self.kept.save(self.model, self.done)
        took = time.perf_counter() - began
        self._saved = (self.done.epochs, self.done.step)
        self.rhythm.written(took)
        self.clock.pause(took)

    def _sums_now(self) -> list[Any]:
        return [keras.ops.convert_to_numpy(variable).copy() for variable in self.model.metrics_variables]

    def _lay_back(self) -> None:
        if self._sums is not None:
            for variable, value in zip(self.model.metrics_variables, self._sums, strict=True):
                variable.assign(value)
            self._sums = None
