"""Staged folders: written under a temporary name and renamed when complete; those of killed writers are removed."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4


@contextmanager
def staged_folder(target: Path) -> Iterator[Path]:
    """An empty folder next to a target, on the same file system, removed afterwards unless it was renamed.

    The folder of a killed writer is removed by the next writer with the same target: each writer holds a lock on its
    folder, which the system releases with the process.

    Raises:
        OSError: the folder cannot be created.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(target)
    folder, lock = _create(target)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _create(target: Path) -> tuple[Path, int]:
    while True:
        folder = target.with_name(f".{target.name}.{os.getpid()}-{uuid4().hex[:8]}")
        folder.mkdir()
        # Another writer may remove the folder as abandoned before it is locked.
        with suppress(FileNotFoundError):
            lock = os.open(folder, os.O_RDONLY)
            with suppress(OSError):  # on a file system without locks nobody removes folders either
                fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():
                return folder, lock
            os.close(lock)


def _remove_abandoned(target: Path) -> None:
    for folder in target.parent.glob(f".{target.name}.*/"):
        try:
            lock = os.open(folder, os.O_RDONLY)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue  # its writer is running
        finally:
            os.close(lock)
