"""Files and folders, on a local path or in Google Cloud Storage (``gs://bucket/name``), by the same functions.

A folder is complete once it has its manifest, which is written last. Readers refuse a folder without a manifest, or
with files that differ from it.
"""

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from components.storage import local
from components.storage.manifest import MANIFEST, Damaged, Manifest, refuse
from components.storage.uris import MOUNTS, REMOTE, bucket_fault, is_remote, join, mounted

__all__ = [
    "MANIFEST",
    "MOUNTS",
    "REMOTE",
    "Damaged",
    "Manifest",
    "bucket_fault",
    "copy",
    "download",
    "exists",
    "fetch",
    "is_complete",
    "is_remote",
    "join",
    "listing",
    "manifest",
    "missing_rights",
    "mounted",
    "probe",
    "read_text",
    "read_versioned",
    "remove",
    "require",
    "set_aside",
    "upload",
    "verify",
    "write_text",
]


def _backend(uri: str) -> ModuleType:
    if not is_remote(uri):
        return local
    from components.storage import cloud  # Google's libraries take half a second, and local paths do not need them

    return cloud


def probe(uri: str) -> None:
    """Try a bucket with one request.

    Raises:
        StepError: it does not exist (caused by an exception called ``NotFound``), may not be listed, or cannot be
            reached.
    """
    _backend(uri).probe(uri)


def missing_rights(uri: str) -> dict[str, str]:
    """Write, read, list and remove one small object below a URI in Cloud Storage.

    Returns:
        Each permission that is missing, such as ``storage.objects.create``, with what cannot be done without it.

    Raises:
        StepError: the bucket does not exist (caused by an exception called ``NotFound``), or cannot be reached.
    """
    missing: dict[str, str] = _backend(uri).missing_rights(uri)
    return missing


def read_text(uri: str) -> str:
    """The text of a file.

    Raises:
        FileNotFoundError: the file does not exist.
    """
    return read_versioned(uri)[0]


def read_versioned(uri: str) -> tuple[str, int]:
    """The text of a file, and its generation in Cloud Storage; 0 on a local path.

    Raises:
        FileNotFoundError: the file does not exist.
    """
    versioned: tuple[str, int] = _backend(uri).read_versioned(uri)
    return versioned


def write_text(uri: str, text: str, generation: int | None = None) -> None:
    """Write a small file atomically: a reader sees the old text or the new one.

    Args:
        generation: in Cloud Storage, replace only this generation (0: only if there is no file). On a local path the
            caller holds a lock instead.

    Raises:
        StepError: kind ``conflict``: the file has another generation.
    """
    _backend(uri).write_text(uri, text, generation)


def listing(uri: str) -> list[str]:
    """The names of a folder's files, relative to it, sorted, without the manifest; empty if there is no folder."""
    return sorted(_backend(uri).list_files(uri))


def exists(uri: str) -> bool:
    """Whether there is such a file, or a folder with a file in it."""
    return bool(_backend(uri).exists(uri))


def upload(folder: Path, uri: str, *, move: bool = False) -> None:
    """Copy a folder to a new location and write its manifest, with the checksum of each file, last.

    On a local path the folder appears at once, by a rename. In Cloud Storage its files appear one by one and its
    manifest after them; the next upload uses or replaces what an interrupted one has left.

    Args:
        move: whether the folder may be renamed instead, which saves a copy on the same file system.

    Raises:
        StepError: kind ``conflict``: the location has a folder with other files, or another upload is running. A folder
            with the same files is accepted. Kind ``data``: the folder is empty or holds a link.
        OSError: a local file could not be read or written.
    """
    _backend(uri).upload(folder, uri, Manifest.from_folder(folder), move=move)


def manifest(uri: str) -> Manifest:
    """A folder's manifest.

    Raises:
        FileNotFoundError: the folder does not exist.
        Damaged: it has files, but no manifest or an invalid one.
    """
    try:
        text = read_text(join(uri, MANIFEST))
    except (FileNotFoundError, NotADirectoryError):
        if not listing(uri):
            raise FileNotFoundError(uri) from None
        raise Damaged(f"{uri} has no {MANIFEST}: it was not written completely") from None
    except UnicodeDecodeError:
        raise Damaged(f"{uri}/{MANIFEST} is not valid") from None
    return Manifest.parse(text, uri)


def is_complete(uri: str) -> bool:
    """Whether a folder has its manifest and all files of it, with their sizes."""
    try:
        return not manifest(uri).differences(_backend(uri).list_files(uri))
    except (FileNotFoundError, Damaged):
        return False


def require(uri: str, names: Iterable[str]) -> None:
    """Check the sizes of some files in a folder that is read without a copy.

    Raises:
        FileNotFoundError: the folder or a file does not exist.
        Damaged: a file's size differs from the manifest.
    """
    refuse(uri, manifest(uri).subset(names, uri).differences(_backend(uri).list_files(uri)))


def verify(uri: str) -> list[str]:
    """Differences between a folder and its manifest, including checksums and unexpected files, one per line.

    Cloud Storage has the checksums of its files; local files are read.

    Raises:
        FileNotFoundError: the folder does not exist.
    """
    try:
        written = manifest(uri)
    except Damaged as damage:
        return [damage.message]
    differences = written.differences(_backend(uri).list_checksums(uri), unexpected=True)
    return [f"{name} {difference}" for name, difference in differences.items()]


def download(uri: str, folder: Path, names: list[str] | None = None) -> Path:
    """Copy a folder's files into a local folder, which is returned: all of them as they were written, or none.

    Args:
        names: files relative to ``uri``; all if not given.

    Raises:
        FileNotFoundError: the folder or a file does not exist.
        Damaged: a file is missing, or differs from the manifest.
    """
    written = manifest(uri)
    return fetch(uri, folder, written if names is None else written.subset(names, uri))


def copy(uri: str, folder: Path, names: list[str] | None = None) -> Path:
    """Copy a folder without a manifest, which others have written; from Cloud Storage by its checksums.

    Args:
        names: files relative to ``uri``; all if not given.

    Raises:
        FileNotFoundError: the folder or a file does not exist.
        Damaged: a file changed meanwhile.
    """
    listed = Manifest(_backend(uri).list_files(uri))
    if not listed.files:
        raise FileNotFoundError(uri)
    return fetch(uri, folder, listed if names is None else listed.subset(names, uri))


def fetch(uri: str, folder: Path, expected: Manifest) -> Path:
    """Copy the files of a manifest into a local folder, which is returned.

    Raises:
        Damaged: a file is missing, or differs from the manifest.
    """
    folder.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(prefix=".incoming-", dir=folder))
    try:
        _backend(uri).fetch(uri, staged, expected)
        for name in expected.files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (staged / name).replace(folder / name)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return folder


def remove(uri: str) -> None:
    """Remove a folder, if there is one."""
    _backend(uri).remove(uri)


def set_aside(uri: str) -> None:
    """Make room for a folder in place of a damaged one, which keeps its files under another name on a local path."""
    _backend(uri).set_aside(uri)
