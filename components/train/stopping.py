"""SIGTERM: the machine is about to be taken away (GKE gives a spot pod 15 seconds), so stop at the next safe point."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from components.core.errors import StepError


class _AtOnce(BaseException):
    """Passes through every ``except Exception`` of the libraries that the signal came in."""


class Stop:
    """Whether to stop.

    Attributes:
        asked: SIGTERM has come.
        at_once: nothing would be lost by leaving at once, wherever the process is.
    """

    def __init__(self) -> None:
        self.asked = False
        self.at_once = True

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        first, self.asked = not self.asked, True
        if self.at_once and first:
            raise _AtOnce

    @contextmanager
    def held(self) -> Iterator[None]:
        """A block with work to save: inside it only ``check`` stops.

        Raises:
            StepError: kind ``preempted``.
        """
        self.at_once = False
        self.check()
        yield
        self.at_once = True
        self.check()

    def finish(self) -> None:
        """From here on the signal changes nothing: the results are written, and what is left takes a moment.

        Raises:
            StepError: kind ``preempted``: it has come before.
        """
        self.at_once = False
        self.check()

    def check(self) -> None:
        """Stop if asked to.

        Raises:
            StepError: kind ``preempted``.
        """
        if self.asked:
            raise StepError(
                "stopped by SIGTERM",
                advice="run it again: it goes on from its last checkpoint",
                kind="preempted",
            )


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Listen to SIGTERM in the main thread, where alone Python can; the former handler comes back at the end.

    Raises:
        StepError: kind ``preempted``, where the signal came before there was anything to save.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = signal.signal(signal.SIGTERM, stop._on_signal)
    try:
        yield stop
    except _AtOnce:
        stop.check()
    finally:
        signal.signal(signal.SIGTERM, before if before is not None else signal.SIG_DFL)
