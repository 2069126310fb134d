"""What looks on while ``model.fit`` works: small parts, each with one purpose, behind one Keras callback."""

from collections.abc import Sequence
from typing import Any

import keras


class Part:
    """One thing to be done while an epoch runs. Every method may be left out.

    ``step`` counts the steps of the epoch that are done, those before an interruption included. One call into the
    graph makes several steps. ``logs`` hold the running means of the loss and the metrics; to read one waits for it.
    """

    def epoch_begins(self, epoch: int, step: int) -> None:
        """Before the first call and after Keras has set the metrics back."""

    def call_ends(self, step: int, logs: Any) -> None:
        """After a call."""

    def steps_end(self) -> None:
        """After the last call, before validation."""

    def validation_call_ends(self) -> None:
        """After a call of validation."""

    def epoch_ends(self, logs: dict[str, float]) -> None:
        """After validation, with all means of the epoch."""


class Watch(keras.callbacks.Callback):
    """The parts as a Keras callback.

    Args:
        epoch: the epoch that runs (0, 1, ...).
        first: steps of it that were done before an interruption; Keras counts from there.
        steps: all its steps.
    """

    def __init__(self, parts: Sequence[Part], epoch: int, first: int, steps: int) -> None:
        super().__init__()
        self.parts, self.epoch, self.first, self.steps = parts, epoch, first, steps

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        for part in self.parts:
            part.epoch_begins(self.epoch, self.first)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        # The last call may make fewer steps than Keras counts.
        done = min(self.first + batch + 1, self.steps)
        for part in self.parts:
            part.call_ends(done, logs)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        for part in self.parts:
            part.validation_call_ends()
