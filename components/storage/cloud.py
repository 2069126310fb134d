"""Files and folders in Cloud Storage."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import google_crc32c
from google.api_core.exceptions import Forbidden, NotFound, PreconditionFailed
from google.cloud.storage import Blob, transfer_manager
from google.cloud.storage.exceptions import DataCorruption

from components.core.errors import StepError
from components.core.retry import Retry
from components.storage import client, resumable
from components.storage.client import TIMEOUT, WORKERS, bucket_and_name, one_line_errors
from components.storage.manifest import MANIFEST, Damaged, File, Manifest, encode_checksum, refuse
from components.storage.uris import join

# Larger files are sent by resumable uploads, and fetched in parts.
LARGE = 8 << 20
PART = 32 << 20
# Attempts for a file that arrives damaged, and for a text that changes while it is read.
ROUNDS = 4
# How the names of what missing_rights writes begin.
TRIAL = ".suanli-doctor-"
FIELDS = "items(name,size,crc32c,generation),nextPageToken"


@one_line_errors()
def read_versioned(uri: str) -> tuple[str, int]:
    """The text of a file with its generation, consistent even if the file is being written.

    Raises:
        FileNotFoundError: the file does not exist.
        Damaged: its bytes arrive damaged each time.
    """
    bucket, name = bucket_and_name(uri)
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
        if encode_checksum(google_crc32c.value(data)) == expected:
            # Readers of texts check their form, and need the generation even to replace a damaged one.
            return data.decode(errors="replace"), generation
    raise Damaged(f"{uri} arrives with a wrong checksum, or keeps changing", advice="try again")


@one_line_errors()
def write_text(uri: str, text: str, generation: int | None = None) -> None:
    """Write a small file, replacing only the given generation, if any.

    Raises:
        StepError: kind ``conflict``: the file has another generation.
    """
    bucket, name = bucket_and_name(uri)
    retry = client.retry()
    condition: dict[str, Any] = {} if generation is None else {"if_generation_match": generation}
    try:
        retry(bucket.blob(name).upload_from_string)(
            text, content_type="application/json", checksum="crc32c", timeout=TIMEOUT, retry=None, **condition
        )
    except PreconditionFailed:
        # After a broken connection the other text may be our own.
        if retry.failures and _text(uri) == text:
            return
        raise StepError(f"{uri} was changed meanwhile", advice="try again", kind="conflict") from None


def _text(uri: str) -> str | None:
    try:
        return read_versioned(uri)[0]
    except FileNotFoundError:
        return None


@one_line_errors()
def list_files(uri: str) -> dict[str, File]:
    """The files in a folder with their sizes and checksums, without the manifest."""
    return {name: _file(blob) for name, blob in _blobs(uri, client.retry()).items() if name != MANIFEST}


# The server has computed the checksums.
list_checksums = list_files


def _blobs(uri: str, retry: Retry) -> dict[str, Blob]:
    bucket, prefix = bucket_and_name(uri)
    start = f"{prefix}/" if prefix else ""
    blobs = bucket.list_blobs(prefix=start, fields=FIELDS, timeout=TIMEOUT, retry=retry)
    return {blob.name.removeprefix(start): blob for blob in blobs}


def _file(blob: Blob) -> File:
    return File(int(blob.size), blob.crc32c or "")


@one_line_errors()
def exists(uri: str) -> bool:
    """Whether there is such a file, or a folder with a file in it."""
    bucket, name = bucket_and_name(uri)
    if name and bucket.blob(name).exists(timeout=TIMEOUT, retry=client.retry()):
        return True
    start = f"{name}/" if name else ""
    return any(bucket.list_blobs(prefix=start, max_results=1, timeout=TIMEOUT, retry=client.retry()))


@one_line_errors()
def probe(uri: str) -> None:
    """Make one request about a bucket, without retries.

    Raises:
        StepError: it does not exist (caused by ``NotFound``), may not be listed, or cannot be reached.
    """
    any(bucket_and_name(uri)[0].list_blobs(max_results=1, timeout=client.PROBE_S, retry=None))


@one_line_errors()
def missing_rights(uri: str) -> dict[str, str]:
    """Write, read, list and remove one small object below a URI, without retries.

    Returns:
        Each permission that is missing, with what cannot be done without it. Without the right to write, reading and
        removing are not tried.

    Raises:
        StepError: the bucket does not exist (caused by ``NotFound``), or cannot be reached.
    """
    bucket, prefix = bucket_and_name(uri)
    blob = bucket.blob("/".join(filter(None, [prefix, f"{TRIAL}{uuid4().hex}"])))
    once: dict[str, Any] = {"timeout": client.PROBE_S, "retry": None}
    missing = {}

    def attempt(permission: str, what: str, act: Callable[[], object]) -> None:
        try:
            act()
        except Forbidden:
            missing[permission] = what

    attempt("storage.objects.list", "list", lambda: any(bucket.list_blobs(prefix=blob.name, max_results=1, **once)))
    attempt("storage.objects.create", "write", lambda: blob.upload_from_string("", **once))
    if "storage.objects.create" not in missing:
        attempt("storage.objects.get", "read", lambda: bucket.blob(blob.name).download_as_bytes(**once))
        attempt("storage.objects.delete", f"remove, so {blob.name} is left", lambda: blob.delete(**once))
    return missing


@one_line_errors()
def upload(folder: Path, uri: str, manifest: Manifest, *, move: bool = False) -> None:
    """Send the files that are missing or different, check that all have arrived, and write the manifest.

    Two writers of the same folder share the work. Of two writers of different folders at most one succeeds: each file
    replaces nothing, or the generation that the writer has seen, and a writer that finds another's file or manifest
    gives up. If it has replaced a file of the other before, that folder is damaged, and all readers refuse it. This
    cannot happen if folders are named by their content or protected by a lease.

    Raises:
        StepError: kind ``conflict``: another folder is there, or being written.
        Damaged: files arrive damaged repeatedly.
    """
    retry = client.retry()
    differences: dict[str, str] = {}
    lost: set[str] = set()
    for _ in range(ROUNDS):
        blobs = _blobs(uri, retry)
        if MANIFEST in blobs:
            _require_equal(uri, manifest)
        differences = manifest.differences({name: _file(blob) for name, blob in blobs.items()})
        if lost & set(differences):
            raise _conflict(uri)
        if not differences:
            break
        generations = {name: int(blobs[name].generation) if name in blobs else 0 for name in differences}
        lost = _send(folder, uri, manifest, generations, retry)
    refuse(uri, differences)
    if MANIFEST not in blobs:
        try:
            write_text(join(uri, MANIFEST), manifest.text(), 0)
        except StepError as error:
            if error.kind != "conflict":
                raise
            _require_equal(uri, manifest)


def _require_equal(uri: str, manifest: Manifest) -> None:
    if Manifest.parse(read_versioned(join(uri, MANIFEST))[0], uri) != manifest:
        raise _conflict(uri)


def _conflict(uri: str) -> StepError:
    return StepError(
        f"{uri} already exists with other files, or another run is writing it",
        advice="try again, remove it, or choose another name",
        kind="conflict",
    )


def _send(folder: Path, uri: str, manifest: Manifest, generations: Mapping[str, int], retry: Retry) -> set[str]:
    """Send files in parallel, and return the names of those that another writer has written first."""
    bucket, prefix = bucket_and_name(uri)
    start = f"{prefix}/" if prefix else ""
    blobs = {name: bucket.blob(f"{start}{name}") for name in generations}
    results: dict[str, BaseException | None] = {}
    large = [name for name in blobs if manifest.files[name].size > LARGE]
    small = sorted(set(blobs) - set(large))
    # All files of one call share the condition: files that are new, then files that replace a remainder.
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
    for result in results.values():
        # The next round sends damaged files, lost sessions and truncated responses again.
        again = (PreconditionFailed, NotFound, DataCorruption, ValueError)
        if isinstance(result, BaseException) and not isinstance(result, again):
            raise result
    return {name for name, error in results.items() if isinstance(error, PreconditionFailed)}


@one_line_errors()
def fetch(uri: str, folder: Path, expected: Manifest) -> None:
    """Copy files into a folder, in parallel; files that arrive damaged are fetched again.

    Raises:
        Damaged: a file is missing, or differs from the manifest.
    """
    retry = client.retry()
    differences = dict.fromkeys(expected.files, "")
    for _ in range(ROUNDS):
        remaining = {name: expected.files[name] for name in differences}
        refuse(uri, _receive(uri, folder, remaining, retry))
        differences = Manifest(remaining).differences({name: File.read(folder / name) for name in remaining})
        if not differences:
            return
    refuse(uri, differences)


def _receive(uri: str, folder: Path, files: Mapping[str, File], retry: Retry) -> dict[str, str]:
    """Fetch files, and return the missing ones as differences.

    The library's own checksums are off: they do not cover files fetched in several parts.
    """
    bucket, prefix = bucket_and_name(uri)
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


@one_line_errors()
def remove(uri: str) -> None:
    """Remove a folder, if there is one, its manifest first, so that no reader accepts the rest of it."""
    retry = client.retry()

    def delete(blob: Blob) -> None:
        with suppress(NotFound):  # removed by another process, or by an attempt whose response was lost
            blob.delete(timeout=TIMEOUT, retry=retry)

    blobs = _blobs(uri, retry)
    if manifest := blobs.pop(MANIFEST, None):
        delete(manifest)
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(delete, blobs.values()))


# There is no rename: what is damaged would have to be copied, and its bucket may keep old generations by itself.
set_aside = remove
