"""Folders that are written aside and renamed when they are whole, and what killed writers left of theirs."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4


@contextmanager
def staged_folder(target: Path) -> Iterator[Path]:
    """An empty folder beside a target, on the same file system, gone afterwards unless it was renamed.

    A writer that is killed cannot clear away. The next one with the same target does it: a lock on the folder, which
    the system releases with its process, tells the living from the dead.

    Raises:
        OSError: it cannot be made.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _clear(target)
    folder, lock = _made(target)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _made(target: Path) -> tuple[Path, int]:
    while True:
        folder = target.with_name(f".{target.name}.{os.getpid()}-{uuid4().hex[:8]}")
        folder.mkdir()
        # Another writer may take it for a dead one's before it is locked, and remove it.
        with suppress(FileNotFoundError):
            lock = os.open(folder, os.O_RDONLY)
            with suppress(OSError):  # where a file system has no locks, nobody clears either
                fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():
                return folder, lock
            os.close(lock)


def _clear(target: Path) -> None:
    """Remove the folders whose writers are gone."""
    for left in target.parent.glob(f".{target.name}.*/"):
        try:
            lock = os.open(left, os.O_RDONLY)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
        except OSError:
            continue  # its writer lives
        finally:
            os.close(lock)
