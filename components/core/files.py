"""Atomic writes, and digests of files."""

import hashlib
import os
from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Write a small file so that readers see the old content or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text)
        temporary.replace(path)
    except BaseException:
        # On a full disk a partial file would only take space.
        temporary.unlink(missing_ok=True)
        raise


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
