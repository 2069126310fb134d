"""What looks on while ``model.fit`` works: small parts, each with one purpose, behind one Keras callback."""

import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from components.core import progress
from components.core.errors import StepError
from components.train.compiling import learning_rate
from components.train.settings import TrainingSettings

if TYPE_CHECKING:
    import keras

REPORT_SECONDS = 0.5


class Part:
    """One thing to be done while an epoch runs. Every method may be left out.

    ``step`` counts the steps of the epoch that are done, those before an interruption included. One call into the
    graph makes several steps. ``logs`` hold the running means of the loss and the metrics; to read one waits for it.
    """

    def epoch_begins(self, epoch: int, step: int) -> None:
        """Before the first call and after Keras has set the metrics back."""

    def call_begins(self, step: int) -> None:
        """Before a batch is asked for."""

    def call_ends(self, step: int, logs: Any) -> None:
        """After a call."""

    def steps_end(self) -> None:
        """After the last call, before validation."""

    def validation_call_ends(self) -> None:
        """After a call of validation."""

    def epoch_ends(self, logs: dict[str, float]) -> None:
        """After validation, with all means of the epoch."""


def callback(parts: Sequence[Part], epoch: int, first: int, steps: int) -> "keras.callbacks.Callback":
    """The parts as a Keras callback.

    Args:
        epoch: the epoch that runs (0, 1, ...).
        first: steps of it that were done before an interruption; Keras counts from there.
        steps: all its steps.
    """
    import keras

    class Watch(keras.callbacks.Callback):
        def on_epoch_begin(self, _epoch: int, logs: Any = None) -> None:
            for part in parts:
                part.epoch_begins(epoch, first)

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            for part in parts:
                part.call_begins(first + batch)

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            # The last call may make fewer steps than Keras counts.
            done = min(first + batch + 1, steps)
            for part in parts:
                part.call_ends(done, logs)

        def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
            for part in parts:
                part.validation_call_ends()

    return Watch()


class Clock(Part):
    """Time spent on training steps alone: no compilation, no validation, no checkpoints.

    An epoch's time starts after its first call, which may compile.

    Attributes:
        examples: trained on in that time.
        seconds: that time.
        epoch_rate: examples a second in the last epoch.
    """

    def __init__(self, batch_size: int, steps: int) -> None:
        """For epochs of ``steps`` steps."""
        self.batch_size, self.steps = batch_size, steps
        self.examples, self.seconds, self.epoch_rate = 0, 0.0, 0.0
        self._first, self._step, self._began, self._called = 0, 0, 0.0, False

    @property
    def rate(self) -> float:
        """Examples a second."""
        return self.examples / self.seconds if self.seconds else 0.0

    def so_far(self) -> tuple[int, float]:
        """Examples and seconds of the present epoch."""
        return (self._step - self._first) * self.batch_size, time.perf_counter() - self._began

    def pause(self, seconds: float) -> None:
        """Leave out time that something else took."""
        self._began += seconds

    def epoch_begins(self, epoch: int, step: int) -> None:
        self._first = self._step = step
        self._began, self._called = time.perf_counter(), False

    def call_ends(self, step: int, logs: Any) -> None:
        self._step = step
        if not self._called and step < self.steps:
            self._first, self._began = step, time.perf_counter()
        self._called = True

    def steps_end(self) -> None:
        examples, seconds = self.so_far()
        self.examples += examples
        self.seconds += seconds
        self.epoch_rate = examples / seconds if seconds else 0.0


class Report(Part):
    """Twice a second at most: the progress, and a look whether the loss is still a number."""

    def __init__(self, settings: TrainingSettings, clock: Clock) -> None:
        self.settings, self.clock = settings, clock
        self.epoch, self.reported = 0, 0.0

    def epoch_begins(self, epoch: int, step: int) -> None:
        self.epoch = epoch

    def call_ends(self, step: int, logs: Any) -> None:
        now = time.perf_counter()
        if now - self.reported < REPORT_SECONDS:
            return
        self.reported = now
        loss = float(logs["loss"])
        self._check("loss", loss, step)
        examples, seconds = self.clock.so_far()
        progress.report(
            "train",
            epoch=self.epoch + 1,
            epochs=self.settings.epochs,
            batch=step,
            batches=self.clock.steps,
            loss=round(loss, 4),
            rate=round(examples / seconds) if examples else 0,
        )

    def epoch_ends(self, logs: dict[str, float]) -> None:
        for name in ("loss", "val_loss"):
            self._check(name, logs.get(name, 0.0), self.clock.steps)

    def _check(self, what: str, loss: float, step: int) -> None:
        if math.isfinite(loss):
            return
        steps = self.clock.steps
        rate = learning_rate(self.settings, steps * self.settings.epochs, self.epoch * steps + step - 1)
        raise StepError(
            f"the {what} is {loss} in epoch {self.epoch + 1} by step {step}, at learning rate {rate:.3g}",
            advice="use a lower training.learning_rate, or training.warmup_steps",
            kind="model",
        )
