"""Preemption: SIGTERM means that the machine is taken away (GKE gives a spot pod 15 s), so training stops safely."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from components.core import step
from components.core.errors import StepError

# How long stopping may take, including the checkpoint: storage that does not answer must not hold the process until it
# is killed. Reporting the failure may take another failure.REPORT_S, and GKE gives 15 s in all.
STOP_TIMEOUT_S = 8.0


class StopRequest:
    """Whether SIGTERM has come.

    Attributes:
        received: it has.
    """

    received = False

    def check(self, position: str) -> None:
        """Stop if SIGTERM has come.

        Args:
            position: how far the saved work has come, for the message.

        Raises:
            StepError: kind ``preempted``.
        """
        if self.received:
            raise StepError(
                f"preempted: asked to end (SIGTERM) {position}",
                advice="run it again: it resumes from there",
                kind="preempted",
            )


@contextmanager
def sigterm_deferred() -> Iterator[StopRequest]:
    """Within the block SIGTERM only sets the request, and the block stops where it checks it.

    Outside of the block there is no work to save, so the step's own handler ends the process at once. Python delivers
    signals to the main thread only; in another thread the block changes nothing.

    Raises:
        StepError: kind ``preempted``, at the end of the block at the latest.
    """
    stop = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    deadline = threading.Timer(STOP_TIMEOUT_S, _end_without_checkpoint)
    deadline.daemon = True

    def on_sigterm(_number: int, _frame: FrameType | None) -> None:
        if not stop.received:
            stop.received = True
            deadline.start()

    before = signal.signal(signal.SIGTERM, on_sigterm)
    try:
        yield stop
    finally:
        deadline.cancel()
        signal.signal(signal.SIGTERM, before if before is not None else signal.SIG_DFL)
    stop.check("at the end of training")


def _end_without_checkpoint() -> None:
    """A checkpoint without its manifest does not count, so the one before serves."""
    step.end_now(
        StepError(
            f"preempted: asked to end (SIGTERM), and no checkpoint could be written within {STOP_TIMEOUT_S:g} s",
            advice="run it again: it resumes from the checkpoint before",
            kind="preempted",
        )
    )
