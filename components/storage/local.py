"""Files and folders on a local path."""

import os
import shutil
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from components.core.errors import StepError
from components.core.files import sync, write_atomically
from components.core.staging import staged_folder
from components.storage.manifest import MANIFEST, Damaged, File, Manifest, file_names, refuse


def read_versioned(uri: str) -> tuple[str, int]:
    return Path(uri).read_text(), 0


def write_text(uri: str, text: str, generation: int | None = None) -> None:
    """Write a file atomically. Local files have no generations; callers hold a lock instead."""
    path = Path(uri)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text)


def list_files(uri: str) -> dict[str, File]:
    """The files in a folder with their sizes, without the manifest."""
    root = Path(uri)
    return {name: File((root / name).stat().st_size) for name in file_names(root)}


def list_checksums(uri: str) -> dict[str, File]:
    """The files in a folder with their sizes and checksums, read in full."""
    root = Path(uri)
    return {name: File.read(root / name) for name in file_names(root)}


def exists(uri: str) -> bool:
    return Path(uri).exists()


def upload(folder: Path, uri: str, manifest: Manifest, *, move: bool = False) -> None:
    """Publish a copy of a folder, or the folder itself, with its manifest, by a rename.

    Raises:
        StepError: kind ``conflict``: another folder is there.
        Damaged: the copy differs from the folder.
    """
    target = Path(uri)
    target.parent.mkdir(parents=True, exist_ok=True)
    if move and folder.stat().st_dev == target.parent.stat().st_dev:
        _publish(folder, target, manifest)
        return
    with staged_folder(target) as staged:
        for name in manifest.files:
            (staged / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, staged / name)
        refuse(str(folder), manifest.differences(list_checksums(str(staged))))
        _publish(staged, target, manifest)


def _publish(folder: Path, target: Path, manifest: Manifest) -> None:
    (folder / MANIFEST).write_text(manifest.text())
    for path in (*folder.rglob("*"), folder):
        sync(path)  # a power failure must not leave a manifest of files that are empty
    try:
        folder.rename(target)
    except OSError:
        if not target.exists():
            raise
        _require_equal(target, manifest)
    sync(target.parent)


def _require_equal(target: Path, manifest: Manifest) -> None:
    """Accept the same folder, published by another writer, and nothing else.

    Raises:
        StepError: kind ``conflict``: it is another folder.
        Damaged: its files differ from its manifest.
    """
    path = target / MANIFEST
    if not path.is_file() or Manifest.parse(path.read_text(), str(target)) != manifest:
        raise StepError(
            f"{target} already exists with other files", advice="remove it, or choose another name", kind="conflict"
        )
    refuse(str(target), manifest.differences(list_files(str(target))))


def fetch(uri: str, folder: Path, expected: Manifest) -> None:
    """Copy files into a folder.

    Raises:
        Damaged: a file is missing, or differs from the manifest.
    """
    for name in expected.files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(Path(uri) / name, folder / name)
        except FileNotFoundError:
            raise Damaged(f"{uri} is damaged: {name} is missing") from None
    refuse(uri, expected.differences(list_checksums(str(folder))))


def set_aside(uri: str) -> None:
    """Rename a damaged folder, so that another can take its name."""
    path = Path(uri)
    with suppress(FileNotFoundError):  # another writer was faster
        path.rename(path.with_name(f"{path.name}.damaged-{uuid4().hex[:8]}"))


def remove(uri: str) -> None:
    """Remove a folder, if there is one; its name disappears at once."""
    path = Path(uri)
    # After a kill, the next writer of the same folder removes the rest.
    renamed = path.with_name(f".{path.name}.{os.getpid()}-{uuid4().hex[:8]}")
    try:
        path.rename(renamed)
    except (FileNotFoundError, NotADirectoryError):
        return
    shutil.rmtree(renamed, ignore_errors=True)
