"""Files and folders on a local path."""

import os
import shutil
from pathlib import Path
from uuid import uuid4

from components.core.errors import StepError
from components.core.files import write_atomically
from components.core.staging import staged_folder
from components.storage.manifest import MANIFEST, Damaged, File, Manifest, below, refuse


def read_versioned(uri: str) -> tuple[str, int]:
    """The text of a file, and 0."""
    return Path(uri).read_text(), 0


def write_text(uri: str, text: str, generation: int | None = None) -> None:
    """Write a file whole. Who needs a condition holds a lock: a local file has no generation."""
    path = Path(uri)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text)


def found(uri: str) -> dict[str, File]:
    """The files below a folder with their sizes, without its manifest."""
    root = Path(uri)
    return {name: File((root / name).stat().st_size) for name in below(root)}


def summed(uri: str) -> dict[str, File]:
    """The files below a folder with their sizes and checksums: every byte is read."""
    root = Path(uri)
    return {name: File.of(root / name) for name in below(root)}


def exists(uri: str) -> bool:
    """Whether there is such a file or folder."""
    return Path(uri).exists()


def upload(folder: Path, uri: str, manifest: Manifest, *, move: bool = False) -> None:
    """Let a copy of a folder, or the folder itself, appear whole with its manifest in it.

    Raises:
        StepError: kind ``conflict``: another folder is there.
        Damaged: the disk did not take what was written.
    """
    target = Path(uri)
    target.parent.mkdir(parents=True, exist_ok=True)
    if move and folder.stat().st_dev == target.parent.stat().st_dev:
        _publish(folder, target, manifest)
        return
    with staged_folder(target) as aside:
        for name in manifest.files:
            (aside / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, aside / name)
        refuse(str(folder), manifest.faults(summed(str(aside))))
        _publish(aside, target, manifest)


def _publish(folder: Path, target: Path, manifest: Manifest) -> None:
    (folder / MANIFEST).write_text(manifest.text())
    try:
        folder.rename(target)
    except OSError:
        if not target.exists():
            raise
        _require_equal(target, manifest)


def _require_equal(target: Path, manifest: Manifest) -> None:
    """Take what another writer of the same folder published; refuse anything else.

    Raises:
        StepError: kind ``conflict``: it is another folder.
        Damaged: it is the same one no more.
    """
    mark = target / MANIFEST
    if not mark.is_file() or Manifest.parsed(mark.read_text(), str(target)) != manifest:
        raise StepError(
            f"{target} is there with other files", advice="remove it, or choose another name", kind="conflict"
        )
    refuse(str(target), manifest.faults(found(str(target))))


def fetch(uri: str, folder: Path, wanted: Manifest) -> None:
    """Copy files into a folder.

    Raises:
        Damaged: one is missing, or not what the manifest tells.
    """
    for name in wanted.files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(Path(uri) / name, folder / name)
        except FileNotFoundError:
            raise Damaged(f"{uri} is damaged: {name} is missing") from None
    refuse(uri, wanted.faults(summed(str(folder))))


def remove(uri: str) -> None:
    """Remove a folder at once for who looks at its name, then what was in it; nothing where there is none."""
    path = Path(uri)
    # What a kill leaves of it, the next writer of the same folder clears away.
    aside = path.with_name(f".{path.name}.{os.getpid()}-{uuid4().hex[:8]}")
    try:
        path.rename(aside)
    except (FileNotFoundError, NotADirectoryError):
        return
    shutil.rmtree(aside, ignore_errors=True)
