"""The one way to try again: exponential back-off with jitter, until a deadline."""

import random
import time
from collections.abc import Callable
from functools import wraps
from typing import Any


class Retry:
    """Repeats a call that fails for a transient reason. One object serves all calls, and threads, of one transfer.

    It stands in for google-api-core's ``Retry``, which draws its jitter from Python's global generator: a faulty
    network would change every random number drawn after it, such as the seeds that Keras makes.

    Args:
        transient: whether an error may not occur again if the call is repeated.
        timeout: seconds since the last success, or since this object was made, after which an error is final.
        attempts: how often one call is made at most; 0 for no limit but the timeout.
        first: the longest that the first pause may be, in seconds; it doubles with each attempt.
        longest: the longest that any pause may be.
        jitter: the share of a pause that is random.
        retry_after: the shortest pause that the server has asked for, by the error.

    Attributes:
        failures: how many calls have failed for a transient reason so far.
    """

    def __init__(
        self,
        transient: Callable[[Exception], bool],
        *,
        timeout: float,
        attempts: int = 0,
        first: float = 0.2,
        longest: float = 30.0,
        jitter: float = 1.0,
        retry_after: Callable[[Exception], float] = lambda error: 0.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._transient, self._retry_after = transient, retry_after
        self._timeout, self._attempts = timeout, attempts
        self._first, self._longest, self._jitter = first, longest, jitter
        self._clock, self._sleep = clock, sleep
        self._random = random.Random()
        self._last_success = clock()
        self.failures = 0

    @property
    def remaining(self) -> float:
        """Seconds until an error is final."""
        return self._last_success + self._timeout - self._clock()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, called until it succeeds or its error is final."""

        @wraps(function)
        def repeated(*args: Any, **kwargs: Any) -> Any:
            attempt = 0
            while True:
                try:
                    result = function(*args, **kwargs)
                except Exception as error:
                    self.pause(error, attempt)
                    attempt += 1
                else:
                    self.succeed()
                    return result

        return repeated

    def succeed(self) -> None:
        """Start the timeout anew."""
        self._last_success = self._clock()

    def pause(self, error: Exception, attempt: int) -> None:
        """Wait before the next attempt.

        Args:
            error: what the last attempt ended with.
            attempt: its number, from 0.

        Raises:
            Exception: the error, if it is final.
        """
        if not self._transient(error):
            raise error
        self.failures += 1
        bound = min(self._longest, self._first * 2.0 ** min(attempt, 30))
        pause = max(bound * (1 - self._jitter * self._random.random()), self._retry_after(error))
        if attempt + 1 == self._attempts or pause > self.remaining:
            raise error
        self._sleep(pause)
