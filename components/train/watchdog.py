"""A watch over training that stands still: no batch for too long ends the process instead of burning an accelerator.

Usage in the loop::

    with pulse.watching(settings.stall_seconds) as heart:
        heart.starts("epoch 1")         # the next batch may wait for a compilation
        ...
        heart.beat(step)                # after each batch, of training and of validation
        heart.starts("validation")
        ...

The watch is a thread, and it ends the process with ``step.end_now``: it works while the main thread hangs in native
code (a mount that does not answer, a collective that waits for a lost chip), as long as that code has released
Python's lock, as TensorFlow, JAX, PyTorch and every system call do.
"""

import faulthandler
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from components.core import step
from components.core.errors import StepError

# The longest pause that is none of a fault's is a large checkpoint on its way to storage, or a shuffle buffer that
# fills; both take minutes. Ten of them cost at most a sixth of the accelerator's hour.
STALL_S = 600.0
# XLA may take this long for a large model's first step, and so may a first shuffle buffer.
FIRST_S = 1800.0
# How often the watch looks, as a share of what it allows.
LOOKS = 20


class Pulse:
    """What the watched loop tells of itself.

    Args:
        seconds: that may pass between two beats; 0 switches the watch off.
        first: that may pass before the first beat of something that starts.
    """

    def __init__(self, seconds: float, first: float) -> None:
        self.seconds, self.first = seconds, max(first, seconds)
        self.what, self.step = "the start", 0
        self.beats = 0
        self.beaten = False

    def starts(self, what: str) -> None:
        """Something starts whose first batch may take as long as a compilation.

        Args:
            what: for the message, such as ``epoch 3`` or ``validation``.
        """
        self.what, self.step, self.beaten = what, 0, False
        self.beats += 1

    def beat(self, step: int = 0) -> None:
        """A batch is done, or another piece of work that shows that training goes on.

        Args:
            step: its number (1, 2, ...) in what was started, for the message.
        """
        self.step, self.beaten = step, True
        self.beats += 1

    @property
    def allowed(self) -> float:
        """Seconds until the next beat is overdue."""
        return self.seconds if self.beaten else self.first

    def fault(self) -> StepError:
        """The fault of a pulse that has stopped."""
        where = f"in {self.what}" + (f" after step {self.step}" if self.step else ", before its first step")
        return StepError(
            f"no batch for {self.allowed:g} s {where}",
            advice="look at where the data lie and at the end of the log, which says where each thread stands; a batch "
            "that takes so long wants a larger training.stall_seconds",
            kind="stalled",
        )


@contextmanager
def watching(
    seconds: float = STALL_S, *, first: float = FIRST_S, end: Callable[[StepError], None] = step.end_now
) -> Iterator[Pulse]:
    """Watch the block's pulse, and end the process when it stops.

    Args:
        seconds: that may pass between two beats; 0 switches the watch off.
        first: that may pass before the first beat of something that starts.
        end: what ends the process.
    """
    pulse = Pulse(seconds, first)
    if not seconds:
        yield pulse
        return
    over = threading.Event()
    thread = threading.Thread(target=_watch, args=(pulse, over, end), daemon=True, name="pulse")
    thread.start()
    try:
        yield pulse
    finally:
        over.set()
        thread.join()


def _watch(pulse: Pulse, over: threading.Event, end: Callable[[StepError], None]) -> None:
    """Count the quiet seconds. A process that was stopped as a whole (a debugger, a paused container) was not quiet:
    of a look that comes late only two looks' time counts."""
    look = min(pulse.seconds, pulse.first) / LOOKS
    quiet, beats, before = 0.0, pulse.beats, time.monotonic()
    while not over.wait(look):
        now = time.monotonic()
        passed, before = min(now - before, 2 * look), now
        if pulse.beats != beats:
            quiet, beats = 0.0, pulse.beats
            continue
        quiet += passed
        if quiet >= pulse.allowed:
            faulthandler.dump_traceback(file=2, all_threads=True)
            end(pulse.fault())
            return
