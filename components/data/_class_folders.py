"""Folders of files with a folder for each class, listed compactly: there may be millions of files."""

import hashlib
import os
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from components.core.errors import StepError

if TYPE_CHECKING:
    import numpy as np

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        suffixes: in lower case, with the dot.
        plural: its name in messages.
    """

    suffixes: tuple[str, ...]
    plural: str


def open_folder(folder: str, kind: Kind) -> "tuple[list[str], dict[str, Files]]":
    """The classes of a folder, sorted, and the files of its splits.

    The folder contains a folder for each class, or the folders train and optionally validation and test, which contain
    the classes. A file may be at any depth in the folder of its class.

    Raises:
        StepError: the folder does not exist, it has no classes, or a class has no files.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise StepError(f"no such folder: {root}", advice="set data.folder to a folder on this machine")
    top = _subfolders(root)
    splits = {name: root / name for name in SPLITS if name in top} if "train" in top else {"train": root}
    if others := sorted(set(top) - set(SPLITS)) if "train" in top else []:
        raise StepError(f"{root / others[0]} is next to train", advice=f"only {', '.join(SPLITS)} may be")
    classes = _subfolders(splits["train"])
    if len(classes) < 2:
        raise StepError(f"{splits['train']} has {len(classes)} class folders, at least 2 were expected")
    for path in splits.values():
        if unknown := sorted(set(_subfolders(path)) - set(classes)):
            raise StepError(f"{path / unknown[0]} is a class that {splits['train']} does not have")
    return classes, {split: _list_files(path, classes, kind) for split, path in splits.items()}


def count_files(folder: str, kind: Kind) -> tuple[dict[str, int], int] | None:
    """Number of files of each split, and of classes, by names alone; None if the folder does not exist."""
    root = Path(folder).expanduser()
    if not root.is_dir():
        return None
    splits = {name: root / name for name in SPLITS if (root / name).is_dir()}
    splits = splits if "train" in splits else {"train": root}
    files = {
        name: sum(path.suffix.lower() in kind.suffixes for path in split.rglob("*")) for name, split in splits.items()
    }
    return files, sum(path.is_dir() for path in splits["train"].iterdir())


def _subfolders(folder: Path) -> list[str]:
    """The names of the folders in a folder, sorted.

    Raises:
        StepError: one of them is a link that leads out of it.
    """
    paths = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    for path in paths:
        if path.is_symlink():
            _check_link(path, folder)
    return [path.name for path in paths]


def _check_link(link: Path, folder: Path) -> None:
    """Whoever can fill the folder must not make the step read other files of this machine.

    Raises:
        StepError: the link leads out of the folder.
    """
    if not link.resolve().is_relative_to(folder.resolve()):
        raise StepError(f"{link} is a link that leads out of {folder}", advice="replace it by a copy")


@dataclass(frozen=True)
class Files:
    """The files of a split.

    Attributes:
        folder: of the split.
        names: paths below ``folder``, one after the other, each ended by a zero byte.
        starts: the offset of each name, in the order of a hash of the names: classes are mixed, and adding a file does
            not change the order of the others.
        labels: classes, in the same order.
    """

    folder: Path
    names: bytes
    starts: "np.ndarray"
    labels: "np.ndarray"

    def contents(self, limit: int = -1) -> Iterator[tuple[bytes, int, Path]]:
        """The bytes of each file, at most ``limit`` if given, with its label and path.

        Raises:
            StepError: a file cannot be read.
        """
        for start, label in zip(self.starts.tolist(), self.labels.tolist(), strict=True):
            path = self.folder / os.fsdecode(self.names[start : self.names.index(b"\0", start)])
            try:
                with path.open("rb") as stream:
                    content = stream.read(limit)
            except OSError as error:
                raise StepError(f"{path} cannot be read: {os.strerror(error.errno or 0)}") from None
            yield content, label, path


def _list_files(split: Path, classes: list[str], kind: Kind) -> Files:
    """The files of a split.

    Raises:
        StepError: a class folder has no files.
    """
    import numpy as np

    names, starts, labels, order = bytearray(), array("q"), array("l"), array("Q")
    for label, name in enumerate(classes):
        before = len(starts)
        for path in _files(split / name, split, kind):
            relative = os.fsencode(path.relative_to(split))
            starts.append(len(names))
            labels.append(label)
            order.append(int.from_bytes(hashlib.blake2b(relative, digest_size=8).digest()))
            names += relative + b"\0"
        if len(starts) == before and (split / name).is_dir():
            raise StepError(
                f"the class folder {split / name} has no {kind.plural} ({', '.join(kind.suffixes)})",
                advice="fill it or remove it",
            )
    by_hash = np.argsort(np.array(order, np.uint64), kind="stable")
    return Files(split, bytes(names), np.array(starts, np.int64)[by_hash], np.array(labels, np.int32)[by_hash])


def _files(folder: Path, split: Path, kind: Kind) -> Iterator[Path]:
    """The files of a class folder at any depth, without linked folders, pipes and devices.

    Raises:
        StepError: a link leads out of the split's folder.
    """
    if not folder.is_dir():
        return
    try:
        with os.scandir(folder) as scanned:
            entries = sorted(scanned, key=lambda entry: entry.name)
    except OSError as error:
        raise StepError(f"{folder} cannot be read: {os.strerror(error.errno or 0)}") from None
    # Files before folders, both by name.
    for entry in entries:
        if entry.name.lower().endswith(kind.suffixes) and entry.is_file():
            path = folder / entry.name
            if entry.is_symlink():
                _check_link(path, split)
            yield path
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _files(folder / entry.name, split, kind)
