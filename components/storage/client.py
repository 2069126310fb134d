"""The one client of Cloud Storage that a process has, and its refusals as one line."""

import http.client
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from components.core.errors import StepError
from components.core.retry import Retry
from components.storage.places import REMOTE

if TYPE_CHECKING:
    from google.cloud.storage import Bucket, Client

EMULATOR = "STORAGE_EMULATOR_HOST"
WORKERS = 8
# Seconds to connect, and without a byte.
TIMEOUT = (10, 60)
# Seconds without any success after which a transfer is given up.
PATIENCE = "SUANLI_STORAGE_PATIENCE"
PATIENCE_S = 300.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 30.0
# https://cloud.google.com/storage/docs/retry-strategy#retryable
TRANSIENT_CODES = frozenset({408, 429, 500, 502, 503, 504})


@contextmanager
def in_one_line() -> Iterator[None]:
    """Cloud Storage's refusals as one line. Its library need not be there for a local path.

    Raises:
        StepError: kind ``resources``: a request was refused, or failed for ``SUANLI_STORAGE_PATIENCE`` seconds.
    """
    try:
        yield
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in {"google", "requests", "urllib3"}:
            raise
        said = " ".join(str(error).split())[:300]
        raise StepError(
            f"Cloud Storage: {type(error).__name__}: {said}",
            advice="check the bucket's name, and that this account (gcloud auth application-default login, or the "
            "pod's service account) may use it",
            kind="resources",
        ) from error


def bucket_of(uri: str) -> "tuple[Bucket, str]":
    """The bucket of a place in Cloud Storage, and the name in it."""
    name, _, prefix = uri.removeprefix(REMOTE).partition("/")
    return _client(os.getpid(), os.environ.get(EMULATOR, "")).bucket(name), prefix.strip("/")


@cache
def _client(process: int, emulator: str) -> "Client":
    """Made once, for that takes 100 ms; once a process, for connections are not to be shared with a fork."""
    import random

    import requests
    from google.cloud import storage
    from google.cloud.storage._media import _upload

    # It draws the boundary of each upload from Python's global generator; see Retry.
    _upload.random = random.SystemRandom()
    # An emulator wants no credentials, and has none to find.
    client = storage.Client.create_anonymous_client() if emulator else storage.Client()
    # For traces it asks in a thread, with retries of its own, where the bucket lies, which takes another right.
    client._bucket_metadata_cache = None
    for scheme in ("http://", "https://"):
        # A connection for each thread; the default of 10 drops those of a second transfer.
        client._http.mount(scheme, requests.adapters.HTTPAdapter(pool_maxsize=4 * WORKERS))
    return client


def retry() -> Retry:
    """The retry policy of one transfer."""
    return Retry(
        transient,
        timeout=float(os.environ.get(PATIENCE) or PATIENCE_S),
        first=FIRST_PAUSE_S,
        longest=LONGEST_PAUSE_S,
        retry_after=_retry_after,
    )


def transient(error: BaseException) -> bool:
    """Whether a request that failed like this may succeed if it is repeated."""
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
    status = getattr(error, "code", None) or getattr(getattr(error, "response", None), "status_code", None)
    return status in TRANSIENT_CODES


def _retry_after(error: Exception) -> float:
    """Seconds of a Retry-After header; 0 without one."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    try:
        return min(LONGEST_PAUSE_S, max(0.0, float(headers.get("Retry-After", 0))))
    except ValueError:
        return 0.0
