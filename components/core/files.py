"""Durable and atomic writes, locks, and digests of files.

Nothing here follows a link that somebody else has planted in a shared folder: new files get random names and must not
exist, and what is there already is opened only if it is not a link.
"""

import errno
import hashlib
import os
from pathlib import Path
from typing import TextIO
from uuid import uuid4

from components.core.errors import StepError

# Some network file systems cannot sync a folder.
UNSYNCABLE = {errno.EINVAL, errno.ENOTSUP}


def write_atomically(path: Path, text: str) -> None:
    """Write a small file so that readers see the old content or the new one, also after a power failure."""
    temporary = path.with_name(f".{path.name}.{uuid4().hex[:16]}")
    try:
        with temporary.open("x", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        # On a full disk a partial file would only take space.
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


def sync(path: Path) -> None:
    """Wait until a file's content, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in UNSYNCABLE:
            raise
    finally:
        os.close(descriptor)


def open_lock(path: Path) -> TextIO:
    """A file to lock with ``flock``, created if missing; its content does not matter.

    Raises:
        StepError: it is a link.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise StepError(f"{path} is a link, a file to lock was expected", advice="remove it", kind="conflict") from None
    return os.fdopen(descriptor, "r+")


def digest_of(path: Path) -> str:
    """A digest (16 hexadecimal digits) of a file, or of the names and files of a folder."""
    total = hashlib.sha256()
    files = sorted(part for part in path.rglob("*") if part.is_file()) if path.is_dir() else [path]
    for file in files:
        if file.is_file():
            total.update(str(file.relative_to(path)).encode())
            with file.open("rb") as stream:
                total.update(hashlib.file_digest(stream, "sha256").digest())
    return total.hexdigest()[:16]
