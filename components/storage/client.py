"""The Cloud Storage client of this process, its retries, and its errors in one line."""

import http.client
import json
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import requests
import urllib3
from google.auth.exceptions import GoogleAuthError
from google.cloud import storage
from google.cloud.storage._media import _upload

from components.core.errors import StepError
from components.core.retry import Retry
from components.storage.uris import REMOTE, bucket_fault

EMULATOR = "STORAGE_EMULATOR_HOST"
WORKERS = 8
# Seconds to connect, and between two bytes.
TIMEOUT = (10, 60)
# Seconds for the one request that tries a bucket.
PROBE_S = 10
# Seconds without any success after which a transfer fails.
PATIENCE = "SUANLI_STORAGE_PATIENCE"
PATIENCE_S = 300.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 30.0
# https://cloud.google.com/storage/docs/retry-strategy#retryable
TRANSIENT_CODES = frozenset({408, 429, 500, 502, 503, 504})


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn errors of Cloud Storage and its libraries into one line.

    Raises:
        StepError: kind ``resources``: a request was refused, or failed for ``SUANLI_STORAGE_PATIENCE`` seconds.
    """
    try:
        yield
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in {"google", "requests", "urllib3"}:
            raise
        raise StepError(
            f"Cloud Storage: {type(error).__name__}: {' '.join(str(error).split())[:300]}",
            advice="check the bucket's name, and that this account (gcloud auth application-default login, or the "
            "pod's service account) may use it",
            kind="resources",
        ) from error


def bucket_and_name(uri: str) -> tuple[storage.Bucket, str]:
    """The bucket of a URI, and the name in it.

    Raises:
        StepError: no bucket can have such a name.
    """
    name, _, prefix = uri.removeprefix(REMOTE).partition("/")
    if fault := bucket_fault(uri):
        raise StepError(fault, kind="settings")
    return _client(os.getpid(), os.environ.get(EMULATOR, "")).bucket(name), prefix.strip("/")


@cache
def _client(process: int, emulator: str) -> storage.Client:
    """Created once, since that takes 100 ms, in each process, since a fork must not share connections."""
    # The library draws the boundary of each upload from Python's global generator; see Retry.
    _upload.random = random.SystemRandom()
    # An emulator needs no credentials.
    client = storage.Client.create_anonymous_client() if emulator else storage.Client()
    # For traces the library reads the bucket's location, in a thread, with its own retries and another permission.
    client._bucket_metadata_cache = None
    for scheme in ("http://", "https://"):
        # One connection per thread; the default of 10 drops those of a second transfer.
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
    """Whether a request with this error may succeed if it is repeated."""
    if isinstance(error, GoogleAuthError):
        return bool(error.retryable)
    broken = requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError
    if isinstance(error, (*broken, ConnectionError, http.client.HTTPException, urllib3.exceptions.HTTPError)):
        return True
    if isinstance(error, json.JSONDecodeError):
        return True  # a truncated response
    status = getattr(error, "code", None) or getattr(getattr(error, "response", None), "status_code", None)
    return status in TRANSIENT_CODES


def _retry_after(error: Exception) -> float:
    """Seconds of the Retry-After header, if any, else 0."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    try:
        return min(LONGEST_PAUSE_S, max(0.0, float(headers.get("Retry-After", 0))))
    except ValueError:
        return 0.0
