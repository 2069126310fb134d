"""SIGTERM: the machine is about to be taken away (GKE gives a spot pod 15 seconds), so stop at the next safe point."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from components.core import step
from components.core.errors import StepError

# How long stopping may take, the checkpoint included: storage that does not answer must not hold the process until it
# is killed. The failure itself may take failure.TELL_S to be told, and GKE gives 15 s in all.
LATEST_S = 8.0


class Stop:
    """Whether to stop.

    Attributes:
        asked: SIGTERM has come.
    """

    asked = False

    def check(self, where: str) -> None:
        """Stop if asked to.

        Args:
            where: how far the work has come that is saved, for the message.

        Raises:
            StepError: kind ``preempted``.
        """
        if self.asked:
            raise StepError(
                f"preempted: asked to end (SIGTERM) {where}", advice="run it again: it goes on there", kind="preempted"
            )


@contextmanager
def held() -> Iterator[Stop]:
    """A block with work to save: SIGTERM is noted, and the block stops where it checks.

    Outside of it nothing would be lost, and the step's own handler ends the process wherever it is. Signals reach
    Python in its main thread alone: in another one nothing is noted. The former handler comes back at the end.

    Raises:
        StepError: kind ``preempted``, at the latest when the block ends.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    latest = threading.Timer(LATEST_S, _too_late)
    latest.daemon = True

    def note(_number: int, _frame: FrameType | None) -> None:
        if not stop.asked:
            stop.asked = True
            latest.start()

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield stop
    finally:
        latest.cancel()
        signal.signal(signal.SIGTERM, before if before is not None else signal.SIG_DFL)
    stop.check("at the end of training")


def _too_late() -> None:
    """End the process as it is. A checkpoint without its manifest is none, so the one before serves."""
    step.end_now(
        StepError(
            f"preempted: asked to end (SIGTERM), and no checkpoint could be written within {LATEST_S:g} s",
            advice="run it again: it goes on from the checkpoint before",
            kind="preempted",
        )
    )
