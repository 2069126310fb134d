"""The one client of Cloud Storage that a process has, and its refusals as one line."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from components.core.errors import StepError
from components.storage.places import REMOTE

if TYPE_CHECKING:
    from google.cloud.storage import Bucket, Client

EMULATOR = "STORAGE_EMULATOR_HOST"
WORKERS = 8
# Seconds to connect, and without a byte.
TIMEOUT = (10, 60)


@contextmanager
def in_one_line() -> Iterator[None]:
    """Cloud Storage's refusals as one line. Its library need not be there for a local path.

    Raises:
        StepError: kind ``resources``: a request was refused, or failed for longer than ``Patience`` allows.
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

    # It draws the boundary of each upload from Python's global generator; see Patience.
    _upload.random = random.SystemRandom()
    # An emulator wants no credentials, and has none to find.
    client = storage.Client.create_anonymous_client() if emulator else storage.Client()
    # For traces it asks in a thread, with retries of its own, where the bucket lies, which takes another right.
    client._bucket_metadata_cache = None
    for scheme in ("http://", "https://"):
        # A connection for each thread; the default of 10 drops those of a second transfer.
        client._http.mount(scheme, requests.adapters.HTTPAdapter(pool_maxsize=4 * WORKERS))
    return client
