"""Small things done to files by every step and by the runner."""

import hashlib
import os
from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Write a small file so that a reader sees the old one or the new one, never half of one."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        aside.write_text(text)
        aside.replace(path)
    except BaseException:
        # On a full disk half a file would only take space.
        aside.unlink(missing_ok=True)
        raise


def digest_of(path: Path) -> str:
    """A digest (16 hexadecimal digits) of a file, or of a folder's files with their names."""
    total = hashlib.sha256()
    files = sorted(part for part in path.rglob("*") if part.is_file()) if path.is_dir() else [path]
    for file in files:
        if file.is_file():
            total.update(str(file.relative_to(path)).encode())
            with file.open("rb") as stream:
                total.update(hashlib.file_digest(stream, "sha256").digest())
    return total.hexdigest()[:16]
