"""Files and folders, on a local path or in Google Cloud Storage (``gs://bucket/name``), by the same calls."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.core.errors import StepError
from components.core.files import write_atomically

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Bucket

REMOTE = "gs://"
WORKERS = 8


@contextmanager
def _in_one_line() -> Iterator[None]:
    """Cloud Storage's refusals as one line. Its library need not be there for a local path."""
    try:
        yield
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "google":
            raise
        said = " ".join(str(error).split())[:300]
        raise StepError(
            f"Cloud Storage: {type(error).__name__}: {said}",
            advice="check the bucket's name, and that this account (gcloud auth application-default login, or the "
            "pod's service account) may use it",
            kind="resources",
        ) from error


def is_remote(uri: str) -> bool:
    """Whether a place is in Cloud Storage."""
    return uri.startswith(REMOTE)


def join(uri: str, *parts: str) -> str:
    """A place below another."""
    return "/".join([uri.rstrip("/"), *parts])


def _bucket(uri: str) -> "tuple[Bucket, str]":
    from google.cloud import storage

    name, _, prefix = uri.removeprefix(REMOTE).partition("/")
    # An emulator wants no credentials, and has none to find.
    client = storage.Client.create_anonymous_client() if os.environ.get("STORAGE_EMULATOR_HOST") else storage.Client()
    return client.bucket(name), prefix.strip("/")


def _blob(uri: str) -> "Blob":
    bucket, name = _bucket(uri)
    return bucket.blob(name)


def read_text(uri: str) -> str:
    """The text of a file.

    Raises:
        FileNotFoundError: there is none.
    """
    return read_versioned(uri)[0]


@_in_one_line()
def read_versioned(uri: str) -> tuple[str, int]:
    """The text of a file with the generation it has in Cloud Storage; 0 on a local path.

    Raises:
        FileNotFoundError: there is none.
    """
    if not is_remote(uri):
        return Path(uri).read_text(), 0
    bucket, name = _bucket(uri)
    blob = bucket.get_blob(name)
    if blob is None:
        raise FileNotFoundError(uri)
    # Read the very generation whose number is returned, whatever is written meanwhile.
    return blob.download_as_bytes(if_generation_match=blob.generation).decode(), int(blob.generation)


@_in_one_line()
def write_text(uri: str, text: str, *, generation: int | None = None) -> None:
    """Write a small file whole: a reader sees the old text or the new one.

    Args:
        generation: in Cloud Storage, write only over this generation (0: only where there is no file).

    Raises:
        StepError: kind ``conflict``: the file has another generation.
    """
    if not is_remote(uri):
        path = Path(uri)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text)
        return
    from google.api_core.exceptions import PreconditionFailed

    condition: dict[str, Any] = {} if generation is None else {"if_generation_match": generation}
    try:
        _blob(uri).upload_from_string(text, content_type="application/json", **condition)
    except PreconditionFailed:
        raise StepError(f"{uri} was changed meanwhile", advice="try again", kind="conflict") from None


@_in_one_line()
def listing(uri: str) -> list[str]:
    """The names of the files below a folder, relative to it, sorted; empty where there is none."""
    if not is_remote(uri):
        root = Path(uri)
        return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    bucket, prefix = _bucket(uri)
    return sorted(blob.name.removeprefix(f"{prefix}/") for blob in bucket.list_blobs(prefix=f"{prefix}/"))


@_in_one_line()
def exists(uri: str) -> bool:
    """Whether there is such a file, or a folder with one in it."""
    if not is_remote(uri):
        return Path(uri).exists()
    return bool(_blob(uri).exists()) or bool(listing(uri))


@_in_one_line()
def upload(folder: Path, uri: str) -> None:
    """Copy a folder to a place where there is none yet.

    On a local path it appears at once and whole. In Cloud Storage the files appear one after the other: who publishes
    a folder names it only afterwards.

    Raises:
        StepError: a file could not be written.
    """
    names = listing(str(folder))
    if not is_remote(uri):
        target = Path(uri)
        aside = target.with_name(f".{target.name}.{os.getpid()}")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(aside, ignore_errors=True)
        try:
            shutil.copytree(folder, aside)
            aside.rename(target)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        return
    from google.cloud.storage import transfer_manager

    bucket, prefix = _bucket(uri)
    results = transfer_manager.upload_many_from_filenames(
        bucket,
        names,
        source_directory=str(folder),
        blob_name_prefix=f"{prefix}/",
        max_workers=WORKERS,
        worker_type=transfer_manager.THREAD,
    )
    _first_failure(names, results, uri)


@_in_one_line()
def download(uri: str, folder: Path, names: list[str] | None = None) -> Path:
    """Copy a folder's files below a local folder, which is returned.

    Args:
        names: only these, relative to ``uri``; all without it.

    Raises:
        FileNotFoundError: there is no such folder.
        StepError: a file could not be read.
    """
    names = names or listing(uri)
    if not names:
        raise FileNotFoundError(uri)
    if not is_remote(uri):
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(Path(uri) / name, folder / name)
        return folder
    from google.cloud.storage import transfer_manager

    bucket, prefix = _bucket(uri)
    folder.mkdir(parents=True, exist_ok=True)
    results = transfer_manager.download_many_to_path(
        bucket,
        names,
        destination_directory=str(folder),
        blob_name_prefix=f"{prefix}/",
        max_workers=WORKERS,
        worker_type=transfer_manager.THREAD,
    )
    _first_failure(names, results, uri)
    return folder


@_in_one_line()
def remove(uri: str) -> None:
    """Remove a folder and what is in it; nothing where there is none."""
    if not is_remote(uri):
        shutil.rmtree(uri, ignore_errors=True)
        return
    bucket, prefix = _bucket(uri)
    bucket.delete_blobs(list(bucket.list_blobs(prefix=f"{prefix}/")), on_error=lambda _: None)


def _first_failure(names: list[str], results: list[Any], uri: str) -> None:
    for name, result in zip(names, results, strict=True):
        if isinstance(result, Exception):
            raise StepError(f"{join(uri, name)}: {result}", advice="try again", kind="resources") from result
