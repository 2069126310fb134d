"""Files and folders in Cloud Storage."""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import google_crc32c

from components.core.errors import StepError
from components.core.retry import Retry
from components.storage import client, resumable
from components.storage.client import TIMEOUT, WORKERS, bucket_of, in_one_line
from components.storage.manifest import MANIFEST, Damaged, File, Manifest, encoded, refuse
from components.storage.places import join

if TYPE_CHECKING:
    from google.cloud.storage import Blob

# Above it, a file is sent so that a break costs only what was under way, and fetched in parts.
LARGE = 8 << 20
PART = 32 << 20
# How often a file is transferred whose bytes arrived wrong, and a text that changes while it is read.
ROUNDS = 4
FIELDS = "items(name,size,crc32c,generation),nextPageToken"


@in_one_line()
def read_versioned(uri: str) -> tuple[str, int]:
    """The text of a file with its generation, whatever is written meanwhile.

    Raises:
        FileNotFoundError: there is none.
        Damaged: its bytes arrive wrong each time.
    """
    from google.api_core.exceptions import NotFound, PreconditionFailed

    bucket, name = bucket_of(uri)
    retry = client.retry()
    for _ in range(ROUNDS):
        blob = bucket.get_blob(name, timeout=TIMEOUT, retry=retry)
        if blob is None:
            raise FileNotFoundError(uri)
        expected, generation = blob.crc32c, int(blob.generation)
        try:
            data = blob.download_as_bytes(if_generation_match=generation, checksum=None, timeout=TIMEOUT, retry=retry)
        except (NotFound, PreconditionFailed):
            continue  # written or removed since
        if encoded(google_crc32c.value(data)) == expected:
            return data.decode(), generation
    raise Damaged(f"{uri} arrives with a wrong checksum, or changes all the time", advice="try again")


@in_one_line()
def write_text(uri: str, text: str, generation: int | None = None) -> None:
    """Write a small file whole, over this generation only, where one is given.

    Raises:
        StepError: kind ``conflict``: the file has another generation.
    """
    from google.api_core.exceptions import PreconditionFailed

    bucket, name = bucket_of(uri)
    retry = client.retry()
    condition: dict[str, Any] = {} if generation is None else {"if_generation_match": generation}
    try:
        retry(bucket.blob(name).upload_from_string)(
            text, content_type="application/json", checksum="crc32c", timeout=TIMEOUT, retry=None, **condition
        )
    except PreconditionFailed:
        # After a broken connection it may be our own text that is in the way.
        if retry.failures and _text(uri) == text:
            return
        raise StepError(f"{uri} was changed meanwhile", advice="try again", kind="conflict") from None


def _text(uri: str) -> str | None:
    try:
        return read_versioned(uri)[0]
    except FileNotFoundError:
        return None


@in_one_line()
def found(uri: str) -> dict[str, File]:
    """The files below a folder with their sizes and checksums, without its manifest."""
    return {name: _file(blob) for name, blob in _blobs(uri, client.retry()).items() if name != MANIFEST}


# The server computed the checksums when the files came.
summed = found


def _blobs(uri: str, retry: Retry) -> "dict[str, Blob]":
    bucket, prefix = bucket_of(uri)
    start = f"{prefix}/" if prefix else ""
    blobs = bucket.list_blobs(prefix=start, fields=FIELDS, timeout=TIMEOUT, retry=retry)
    return {blob.name.removeprefix(start): blob for blob in blobs}


def _file(blob: "Blob") -> File:
    return File(int(blob.size), blob.crc32c or "")


@in_one_line()
def exists(uri: str) -> bool:
    """Whether there is such a file, or a folder with one in it."""
    bucket, name = bucket_of(uri)
    if name and bucket.blob(name).exists(timeout=TIMEOUT, retry=client.retry()):
        return True
    start = f"{name}/" if name else ""
    return any(bucket.list_blobs(prefix=start, max_results=1, timeout=TIMEOUT, retry=client.retry()))


@in_one_line()
def upload(folder: Path, uri: str, manifest: Manifest, *, move: bool = False) -> None:
    """Send a folder's files, those that are there already excepted, look that all arrived, and write the manifest.

    Two writers of the same folder help each other. Of two writers of different folders one at most succeeds: each file
    is written over nothing, or over what was there when the writer looked, and who finds another's file or manifest
    instead gives up. It may have written over a file of the other by then: that folder is damaged, and every reader
    refuses it. Who names folders by their content, or holds a lease, never comes to this.

    Raises:
        StepError: kind ``conflict``: another folder is there, or being written.
        Damaged: what arrived differs time and again.
    """
    retry = client.retry()
    faults: dict[str, str] = {}
    beaten: set[str] = set()
    for _ in range(ROUNDS):
        there = _blobs(uri, retry)
        if MANIFEST in there:
            _require_equal(uri, manifest)
        faults = manifest.faults({name: _file(blob) for name, blob in there.items()})
        if beaten & set(faults):
            raise _conflict(uri)
        if not faults:
            break
        generations = {name: int(there[name].generation) if name in there else 0 for name in faults}
        beaten = _send(folder, uri, manifest, generations, retry)
    refuse(uri, faults)
    if MANIFEST not in there:
        try:
            write_text(join(uri, MANIFEST), manifest.text(), 0)
        except StepError as error:
            if error.kind != "conflict":
                raise
            _require_equal(uri, manifest)


def _require_equal(uri: str, manifest: Manifest) -> None:
    if Manifest.parsed(read_versioned(join(uri, MANIFEST))[0], uri) != manifest:
        raise _conflict(uri)


def _conflict(uri: str) -> StepError:
    return StepError(
        f"{uri} is there with other files, or being written by another run",
        advice="try again, remove it, or choose another name",
        kind="conflict",
    )


def _send(folder: Path, uri: str, manifest: Manifest, generations: Mapping[str, int], retry: Retry) -> set[str]:
    """Send files side by side; the names of those that another writer wrote first are returned."""
    from google.api_core.exceptions import NotFound, PreconditionFailed
    from google.cloud.storage import transfer_manager
    from google.cloud.storage.exceptions import DataCorruption

    bucket, prefix = bucket_of(uri)
    start = f"{prefix}/" if prefix else ""
    blobs = {name: bucket.blob(f"{start}{name}") for name in generations}
    results: dict[str, BaseException | None] = {}
    large = [name for name in blobs if manifest.files[name].size > LARGE]
    small = sorted(set(blobs) - set(large))
    # One call takes one condition for all its files: those that are new, then those that replace a remainder.
    for generation in {generations[name] for name in small}:
        names = [name for name in small if generations[name] == generation]
        options = {"if_generation_match": generation, "checksum": "crc32c", "timeout": TIMEOUT, "retry": retry}
        done = transfer_manager.upload_many(
            [(str(folder / name), blobs[name]) for name in names],
            upload_kwargs=options,
            max_workers=WORKERS,
            worker_type=transfer_manager.THREAD,
        )
        results |= dict(zip(names, done, strict=True))
    with ThreadPoolExecutor(WORKERS) as pool:
        running = {
            name: pool.submit(resumable.send, folder / name, blobs[name], generations[name], retry) for name in large
        }
        results |= {name: future.exception() for name, future in running.items()}
    beaten = {name for name, error in results.items() if isinstance(error, PreconditionFailed)}
    for result in results.values():
        # The next round sends again what arrived wrong, what a lost session left behind, and where the answer was cut.
        again = (PreconditionFailed, NotFound, DataCorruption, ValueError)
        if isinstance(result, BaseException) and not isinstance(result, again):
            raise result
    return beaten


@in_one_line()
def fetch(uri: str, folder: Path, wanted: Manifest) -> None:
    """Copy files into a folder, side by side; what arrives wrong is fetched again.

    Raises:
        Damaged: one is missing, or not what the manifest tells.
    """
    retry = client.retry()
    faults = dict.fromkeys(wanted.files, "")
    for _ in range(ROUNDS):
        missing = _receive(uri, folder, {name: wanted.files[name] for name in faults}, retry)
        refuse(uri, missing)
        arrived = {name: File.of(folder / name) for name in faults}
        faults = Manifest({name: wanted.files[name] for name in faults}).faults(arrived)
        if not faults:
            return
    refuse(uri, faults)


def _receive(uri: str, folder: Path, files: Mapping[str, File], retry: Retry) -> dict[str, str]:
    """Fetch files; what is wrong with those that are not there is returned.

    Google's own check of the checksum is off: it leaves out what came in more than one piece.
    """
    from google.api_core.exceptions import NotFound
    from google.cloud.storage import transfer_manager

    bucket, prefix = bucket_of(uri)
    start = f"{prefix}/" if prefix else ""
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    options = {"timeout": TIMEOUT, "retry": retry}
    small = [name for name, file in files.items() if file.size <= PART]
    done: list[Any] = transfer_manager.download_many(
        [(bucket.blob(f"{start}{name}"), str(folder / name)) for name in small],
        download_kwargs={**options, "checksum": None},
        max_workers=WORKERS,
        worker_type=transfer_manager.THREAD,
    )
    results = dict(zip(small, done, strict=True))
    for name in set(files) - set(small):
        try:
            blob = bucket.blob(f"{start}{name}")
            blob.reload(**options)
            transfer_manager.download_chunks_concurrently(
                blob,
                os.fspath(folder / name),
                chunk_size=PART,
                download_kwargs={**options, "if_generation_match": blob.generation},
                max_workers=WORKERS,
                worker_type=transfer_manager.THREAD,
                crc32c_checksum=False,
            )
        except NotFound as error:
            results[name] = error
    for result in results.values():
        if isinstance(result, Exception) and not isinstance(result, NotFound):
            raise result
    return {name: "is missing" for name, result in sorted(results.items()) if isinstance(result, NotFound)}


@in_one_line()
def remove(uri: str) -> None:
    """Remove a folder, its manifest first: no reader takes what is left for whole. Nothing where there is none."""
    from google.api_core.exceptions import NotFound

    retry = client.retry()

    def delete(blob: "Blob") -> None:
        with suppress(NotFound):  # removed by another, or by an attempt whose answer was lost
            blob.delete(timeout=TIMEOUT, retry=retry)

    blobs = _blobs(uri, retry)
    if mark := blobs.pop(MANIFEST, None):
        delete(mark)
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(delete, blobs.values()))
