"""The parts of an epoch that keep time, tell how far it is, and see that it goes on."""

import time
from typing import Any

from components.core import progress
from components.train.callbacks import Part
from components.train.compiling import learning_rate
from components.train.failures import Finite
from components.train.goodput import Ledger
from components.train.settings import TrainingSettings
from components.train.watchdog import Pulse

REPORT_SECONDS = 0.5


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
        self.settings, self.clock, self.finite = settings, clock, Finite(settings)
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
            if name in logs:
                self._check(name, logs[name], self.clock.steps)

    def _check(self, what: str, loss: float, step: int) -> None:
        steps = self.clock.steps
        rate = learning_rate(self.settings, steps * self.settings.epochs, self.epoch * steps + step - 1)
        self.finite.check(what, loss, epoch=self.epoch + 1, step=step, rate=rate)


class Heart(Part):
    """Shows whoever watches for a standstill that training goes on."""

    def __init__(self, pulse: Pulse) -> None:
        self.pulse = pulse

    def epoch_begins(self, epoch: int, step: int) -> None:
        self.pulse.starts(f"epoch {epoch + 1}")

    def call_ends(self, step: int, logs: Any) -> None:
        self.pulse.beat(step)

    def steps_end(self) -> None:
        self.pulse.starts("validation")

    def validation_call_ends(self) -> None:
        self.pulse.beat()


class Account(Part):
    """Books where the seconds go: steps, validation, and the start-up, which the first call belongs to."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._part = "startup"
        self._since, self._inner = ledger.began, ledger.inner

    def epoch_begins(self, epoch: int, step: int) -> None:
        if self._part != "startup":
            self._begin()

    def call_ends(self, step: int, logs: Any) -> None:
        self._book(self._part)
        self._part = "steps"

    def steps_end(self) -> None:
        # An attempt may have nothing left to do but to validate.
        if self._part == "startup":
            self._book(self._part)
        self._begin()

    def epoch_ends(self, logs: dict[str, float]) -> None:
        self._book("validation")

    def _begin(self) -> None:
        self._since, self._inner = time.monotonic(), self.ledger.inner

    def _book(self, part: str) -> None:
        """Count the time since the last entry, but for what something else has booked meanwhile."""
        passed = time.monotonic() - self._since - (self.ledger.inner - self._inner)
        self.ledger.took(part, max(0.0, passed))
        self._begin()
