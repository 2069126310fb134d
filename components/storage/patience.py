"""Trying again: exponential back-off with jitter, for as long as something succeeds now and then."""

import http.client
import json
import os
import random
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

VARIABLE = "SUANLI_STORAGE_PATIENCE"
SECONDS = 300.0
FIRST_WAIT, LONGEST_WAIT = 0.2, 30.0
# https://cloud.google.com/storage/docs/retry-strategy#retryable
PASSING_CODES = frozenset({408, 429, 500, 502, 503, 504})


class Patience:
    """Repeats a request that fails for a passing reason. One object serves all requests, and threads, of a transfer.

    It stands in for google-api-core's ``Retry``, which draws its jitter from Python's global generator: a faulty
    network would change every random number drawn after it, such as the seeds that Keras makes.

    Args:
        seconds: how long nothing may have succeeded until it gives up; without it, the environment's
            ``SUANLI_STORAGE_PATIENCE``, else 300.

    Attributes:
        failures: how many requests have failed so far.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self._seconds = float(os.environ.get(VARIABLE) or SECONDS) if seconds is None else seconds
        self._random = random.Random()
        self._succeeded = time.monotonic()
        self.failures = 0

    def __call__(self, request: Callable[..., Any]) -> Callable[..., Any]:
        """The request, repeated until it succeeds, fails for good, or patience ends with its last failure."""

        @wraps(request)
        def repeated(*args: Any, **kwargs: Any) -> Any:
            attempt = 0
            while True:
                try:
                    result = request(*args, **kwargs)
                except Exception as error:
                    self.wait(error, attempt)
                    attempt += 1
                else:
                    self.succeed()
                    return result

        return repeated

    def succeed(self) -> None:
        """Something went well."""
        self._succeeded = time.monotonic()

    def wait(self, error: Exception, attempt: int) -> None:
        """Wait before the next attempt: a random time below a bound that doubles (full jitter), or as long as the
        server asks for.

        Raises:
            Exception: the given one, where it would not pass, or has not for too long.
        """
        if not passing(error):
            raise error
        self.failures += 1
        wait = self._random.uniform(0, min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(attempt, 30)))
        wait = max(wait, _asked_for(error))
        if time.monotonic() + wait - self._succeeded > self._seconds:
            raise error
        time.sleep(wait)


def passing(error: BaseException) -> bool:
    """Whether a request that failed so may succeed when it is repeated."""
    import requests
    import urllib3
    from google.auth.exceptions import GoogleAuthError

    if isinstance(error, GoogleAuthError):
        return bool(error.retryable)
    of_requests = requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError
    if isinstance(error, (*of_requests, ConnectionError, http.client.HTTPException, urllib3.exceptions.HTTPError)):
        return True
    if isinstance(error, json.JSONDecodeError):
        return True  # an answer that was cut
    return _code(error) in PASSING_CODES


def _code(error: BaseException) -> int:
    """The HTTP status that an error of Google's libraries stands for; 0 for none."""
    response = getattr(error, "response", None)
    code = getattr(error, "code", None) or getattr(response, "status_code", None)
    return int(code) if isinstance(code, int) else 0


def _asked_for(error: BaseException) -> float:
    """Seconds of a Retry-After header; 0 without one."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    try:
        return min(LONGEST_WAIT, max(0.0, float(headers.get("Retry-After", 0))))
    except ValueError:
        return 0.0
