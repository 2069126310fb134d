"""Watchdog: ends a process whose training has stalled, so that it does not hold an accelerator for nothing.

Usage::

    with Watchdog(settings.stall_seconds) as watchdog:
        watchdog.start_phase("epoch 1")    # its first batch may wait for a compilation
        ...
        watchdog.reset(step)               # after each batch of training and of validation
        watchdog.start_phase("validation")

It is a thread that ends the process with ``step.end_now``. It works while the main thread hangs in native code (a mount
that does not answer, a collective that waits for a lost chip) as long as that code has released Python's lock, as
TensorFlow, JAX, PyTorch and every system call do.
"""

import faulthandler
import threading
import time
from collections.abc import Callable
from typing import Self

from components.core import step
from components.core.errors import StepError

# The longest pauses that are not a fault are the upload of a large checkpoint and the filling of a shuffle buffer; both
# take minutes.
TIMEOUT_S = 600.0
# XLA may need this long to compile a large model's first step; a first shuffle buffer may, too.
FIRST_TIMEOUT_S = 1800.0
CHECKS_PER_TIMEOUT = 20


class Watchdog:
    """Ends the process if a batch takes too long.

    Args:
        timeout: seconds that a batch may take; 0 disables the watchdog.
        first_timeout: seconds that the first batch of a phase may take.
        end: ends the process.
    """

    def __init__(
        self,
        timeout: float = TIMEOUT_S,
        *,
        first_timeout: float = FIRST_TIMEOUT_S,
        end: Callable[[StepError], None] = step.end_now,
    ) -> None:
        self.timeout, self.first_timeout, self.end = timeout, max(first_timeout, timeout), end
        self._phase, self._step, self._resets, self._first = "the start", 0, 0, True
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="watchdog")

    def __enter__(self) -> Self:
        if self.timeout:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self.timeout:
            self._thread.join()

    def start_phase(self, name: str) -> None:
        """Begin a phase, such as ``epoch 3`` or ``validation``: its first batch may include a compilation."""
        self._phase, self._step, self._first = name, 0, True
        self._resets += 1

    def reset(self, step: int = 0) -> None:
        """A batch is done, or another piece of work that shows that training goes on.

        Args:
            step: its number (1, 2, ...) in the phase, for the message.
        """
        self._step, self._first = step, False
        self._resets += 1

    def _watch(self) -> None:
        """Add up the time without a reset. A process that was stopped as a whole (a debugger, a paused container) has
        not stalled: of a check that comes late only two checks' time counts."""
        interval = min(self.timeout, self.first_timeout) / CHECKS_PER_TIMEOUT
        idle, resets, before = 0.0, self._resets, time.monotonic()
        while not self._over.wait(interval):
            now = time.monotonic()
            passed, before = min(now - before, 2 * interval), now
            if self._resets != resets:
                idle, resets = 0.0, self._resets
                continue
            idle += passed
            allowed = self.first_timeout if self._first else self.timeout
            if idle >= allowed:
                faulthandler.dump_traceback(file=2, all_threads=True)
                self.end(self._error(allowed))
                return

    def _error(self, allowed: float) -> StepError:
        where = f"in {self._phase}" + (f" after step {self._step}" if self._step else ", before its first step")
        return StepError(
            f"no batch for {allowed:g} s {where}",
            advice="check the storage that holds the data, and the stack of each thread at the end of the log; "
            "if a batch may take this long, raise training.stall_seconds",
            kind="stalled",
        )
