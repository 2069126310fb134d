"""Folders of files with a folder for each class, the files listed compactly: there may be millions."""

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
    """The files that are looked for.

    Attributes:
        suffixes: in small letters, with their dots.
        plural: what they are called in a message.
    """

    suffixes: tuple[str, ...]
    plural: str


def opened(folder: str, kind: Kind) -> "tuple[list[str], dict[str, Files]]":
    """The classes of a folder, sorted, and the files of its splits.

    The folder holds a folder for each class, or the folders train and, where there are any, validation and test, which
    hold the classes. A file's class is the name of the folder it lies in, at any depth.

    Raises:
        StepError: there is no such folder, it has no classes, or a class has no files.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise StepError(f"there is no folder {root}", advice="set data.folder to a folder on this machine")
    top = _folders(root)
    places = {name: root / name for name in SPLITS if name in top} if "train" in top else {"train": root}
    if strange := sorted(set(top) - set(SPLITS)) if "train" in top else []:
        raise StepError(f"{root / strange[0]} lies beside train", advice=f"only {', '.join(SPLITS)} may")
    classes = _folders(places["train"])
    if len(classes) < 2:
        raise StepError(f"{places['train']} has {len(classes)} class folders, at least 2 were expected")
    for place in places.values():
        if unknown := sorted(set(_folders(place)) - set(classes)):
            raise StepError(f"{place / unknown[0]} is a class that {places['train']} does not have")
    return classes, {split: _listed(place, classes, kind) for split, place in places.items()}


def counted(folder: str, kind: Kind) -> tuple[dict[str, int], int] | None:
    """Files of each split and how many classes there are, by the files' names; None where there is no such folder."""
    root = Path(folder).expanduser()
    if not root.is_dir():
        return None
    splits = {name: root / name for name in SPLITS if (root / name).is_dir()}
    places = splits if "train" in splits else {"train": root}
    files = {
        name: sum(path.suffix.lower() in kind.suffixes for path in place.rglob("*")) for name, place in places.items()
    }
    return files, sum(path.is_dir() for path in places["train"].iterdir())


def _folders(place: Path) -> list[str]:
    """The names of the folders in a folder, sorted.

    Raises:
        StepError: one of them is a link that leads out of it.
    """
    found = sorted(path for path in place.iterdir() if path.is_dir() and not path.name.startswith("."))
    for path in found:
        if path.is_symlink():
            _stays(path, place)
    return [path.name for path in found]


def _stays(link: Path, place: Path) -> None:
    """Who may fill the folder must not have other files of this machine read.

    Raises:
        StepError: a link leads out of the folder.
    """
    if not link.resolve().is_relative_to(place.resolve()):
        raise StepError(f"{link} is a link that leads out of {place}", advice="put a copy in its place")


@dataclass(frozen=True)
class Files:
    """The files of a split.

    Attributes:
        names: their names below ``place``, one after the other, each ended by a zero byte.
        starts: where each name starts, in the order of a hash of the names: classes are mixed, and the order of the
            other files does not change when one is added.
        labels: their classes, in the same order.
    """

    place: Path
    names: bytes
    starts: "np.ndarray"
    labels: "np.ndarray"

    def contents(self, most: int = -1) -> Iterator[tuple[bytes, int, Path]]:
        """Each file's bytes, or the first ``most`` of them, with its label and path.

        Raises:
            StepError: one cannot be read.
        """
        for start, label in zip(self.starts.tolist(), self.labels.tolist(), strict=True):
            path = self.place / os.fsdecode(self.names[start : self.names.index(b"\0", start)])
            try:
                with path.open("rb") as stream:
                    content = stream.read(most)
            except OSError as error:
                raise StepError(f"{path} cannot be read: {os.strerror(error.errno or 0)}") from None
            yield content, label, path


def _listed(place: Path, classes: list[str], kind: Kind) -> Files:
    """The files of a split.

    Raises:
        StepError: a class folder has none.
    """
    import numpy as np

    names, starts, labels, order = bytearray(), array("q"), array("l"), array("Q")
    for label, name in enumerate(classes):
        before = len(starts)
        for found in _files(place / name, place, kind):
            relative = os.fsencode(found.relative_to(place))
            starts.append(len(names))
            labels.append(label)
            order.append(int.from_bytes(hashlib.blake2b(relative, digest_size=8).digest()))
            names += relative + b"\0"
        if len(starts) == before and (place / name).is_dir():
            raise StepError(
                f"the class folder {place / name} has no {kind.plural} ({', '.join(kind.suffixes)})",
                advice="fill it or remove it",
            )
    by_hash = np.argsort(np.array(order, np.uint64), kind="stable")
    return Files(place, bytes(names), np.array(starts, np.int64)[by_hash], np.array(labels, np.int32)[by_hash])


def _files(folder: Path, place: Path, kind: Kind) -> Iterator[Path]:
    """The files at any depth; linked folders below the class folder are left out, as are pipes and devices.

    Raises:
        StepError: a link leads out of the split's folder.
    """
    if not folder.is_dir():
        return
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise StepError(f"{folder} cannot be read: {os.strerror(error.errno or 0)}") from None
    # Files before folders, both by name.
    for entry in entries:
        if entry.name.lower().endswith(kind.suffixes) and entry.is_file():
            path = folder / entry.name
            if entry.is_symlink():
                _stays(path, place)
            yield path
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _files(folder / entry.name, place, kind)
