"""Files and folders, on a local path or in Google Cloud Storage (``gs://bucket/name``), by the same calls.

A folder is whole when its manifest is there, which is written last. A reader refuses one without it, and one whose
files differ from it.
"""

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from components.storage import cloud, local
from components.storage.manifest import MANIFEST, Damaged, Manifest, refuse
from components.storage.places import MOUNTS, REMOTE, is_remote, join, mounted

__all__ = [
    "MANIFEST",
    "MOUNTS",
    "REMOTE",
    "Damaged",
    "Manifest",
    "copy_of",
    "download",
    "exists",
    "fetch",
    "is_remote",
    "join",
    "listing",
    "manifest",
    "mounted",
    "read_text",
    "read_versioned",
    "remove",
    "require",
    "upload",
    "verify",
    "whole",
    "write_text",
]


def _side(uri: str) -> ModuleType:
    return cloud if is_remote(uri) else local


def read_text(uri: str) -> str:
    """The text of a file.

    Raises:
        FileNotFoundError: there is none.
    """
    return read_versioned(uri)[0]


def read_versioned(uri: str) -> tuple[str, int]:
    """The text of a file with the generation it has in Cloud Storage; 0 on a local path.

    Raises:
        FileNotFoundError: there is none.
    """
    versioned: tuple[str, int] = _side(uri).read_versioned(uri)
    return versioned


def write_text(uri: str, text: str, generation: int | None = None) -> None:
    """Write a small file whole: a reader sees the old text or the new one.

    Args:
        generation: in Cloud Storage, write only over this generation (0: only where there is no file). On a local path
            the lock that the caller holds decides.

    Raises:
        StepError: kind ``conflict``: the file has another generation.
    """
    _side(uri).write_text(uri, text, generation)


def listing(uri: str) -> list[str]:
    """The names of a folder's files, relative to it, sorted, without its manifest; empty where there is none."""
    return sorted(_side(uri).found(uri))


def exists(uri: str) -> bool:
    """Whether there is such a file, or a folder with one in it."""
    return bool(_side(uri).exists(uri))


def upload(folder: Path, uri: str, *, move: bool = False) -> None:
    """Copy a folder to a place where there is none yet, and write its manifest, every file's checksum in it, last.

    On a local path it appears at once, by a rename. In Cloud Storage its files appear one after the other and its
    manifest after them. What an upload that was interrupted left there is used, or written over, by the next one.

    Args:
        move: the folder itself may become the one there, which spares a copy on the same file system.

    Raises:
        StepError: kind ``conflict``: a folder with other files is there, or is being written. One with the same files
            is taken as it is.
        OSError: a local file could not be read or written.
    """
    _side(uri).upload(folder, uri, Manifest.of(folder), move=move)


def manifest(uri: str) -> Manifest:
    """A folder's manifest.

    Raises:
        FileNotFoundError: there is no such folder.
        Damaged: it has files, but no manifest, or one that is not whole.
    """
    try:
        text = read_text(join(uri, MANIFEST))
    except (FileNotFoundError, NotADirectoryError):
        if not listing(uri):
            raise FileNotFoundError(uri) from None
        raise Damaged(f"{uri} has no {MANIFEST}: it was not written to its end") from None
    except UnicodeDecodeError:
        raise Damaged(f"{uri}/{MANIFEST} is not one that was written here") from None
    return Manifest.parsed(text, uri)


def whole(uri: str) -> bool:
    """Whether a folder's manifest is there, and every file that it names, with its size."""
    try:
        return not manifest(uri).faults(_side(uri).found(uri))
    except (FileNotFoundError, Damaged):
        return False


def require(uri: str, names: Iterable[str]) -> None:
    """Refuse a folder that is to be read where it lies, if one of these files has not the manifest's size.

    Raises:
        FileNotFoundError: there is no such folder, or no file of that name in it.
        Damaged: it is not whole.
    """
    refuse(uri, manifest(uri).only(names, uri).faults(_side(uri).found(uri)))


def verify(uri: str) -> list[str]:
    """What is wrong with a folder, a line each: every checksum is compared, and files it should not have are named.

    Cloud Storage tells the checksum of what it holds; local files are read.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    try:
        written = manifest(uri)
    except Damaged as damage:
        return [damage.message]
    return [f"{name} {fault}" for name, fault in written.faults(_side(uri).summed(uri), others=True).items()]


def download(uri: str, folder: Path, names: list[str] | None = None) -> Path:
    """Copy a folder's files below a local folder, which is returned: all of them as they were written, or none.

    Args:
        names: only these, relative to ``uri``; all without it.

    Raises:
        FileNotFoundError: there is no such folder, or no file of that name in it.
        Damaged: the folder is not whole, or a file differs from the manifest.
    """
    written = manifest(uri)
    return fetch(uri, folder, written if names is None else written.only(names, uri))


def copy_of(uri: str, folder: Path, names: list[str] | None = None) -> Path:
    """Copy a folder that others wrote, which has no manifest; in Cloud Storage by the checksums that it tells.

    Args:
        names: only these, relative to ``uri``; all without it.

    Raises:
        FileNotFoundError: there is no such folder, or no file of that name in it.
        Damaged: a file changed meanwhile.
    """
    there = Manifest(_side(uri).found(uri))
    if not there.files:
        raise FileNotFoundError(uri)
    return fetch(uri, folder, there if names is None else there.only(names, uri))


def fetch(uri: str, folder: Path, wanted: Manifest) -> Path:
    """Copy files of a folder, by a manifest that was read before, below a local folder, which is returned.

    Raises:
        Damaged: a file is missing, or differs from the manifest.
    """
    folder.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=".incoming-", dir=folder))
    try:
        _side(uri).fetch(uri, aside, wanted)
        for name in wanted.files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (aside / name).replace(folder / name)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder


def remove(uri: str) -> None:
    """Remove a folder and what is in it; nothing where there is none."""
    _side(uri).remove(uri)
