"""A folder of pictures, JPEG or PNG, with a folder for each class."""

import hashlib
import os
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from components.core.config import Positive
from components.core.errors import StepError
from components.data import DataSettings, Example, Facts, Source, folder_state

if TYPE_CHECKING:
    import numpy as np

SUFFIXES = (".jpg", ".jpeg", ".png")
SPLITS = ("train", "validation", "test")


class Settings(DataSettings):
    """Pictures in files. A picture's class is the name of the folder it lies in, at any depth.

    Attributes:
        folder: holds a folder for each class, or the folders train and, where there are any, validation and test, which
            hold the classes and are then the official splits.
        image_shape: height, width and channels that the model sees; pictures of other sizes are resized.
    """

    name: Literal["image_folder"] = "image_folder"
    task: str = "image_classification"
    folder: Annotated[str, Field(min_length=1)]
    image_shape: tuple[Positive, Positive, Literal[1, 3]]

    def input_shape(self) -> tuple[int, ...]:
        return self.image_shape


def state(settings: Settings) -> str:
    """A digest over the names, sizes and times of all files."""
    return folder_state(settings.folder)


def facts(settings: Settings) -> Facts | None:
    """Counted by the files' names, or None where the folder is not on this machine."""
    root = Path(settings.folder).expanduser()
    if not root.is_dir():
        return None
    splits = {name: root / name for name in SPLITS if (root / name).is_dir()}
    places = splits if "train" in splits else {"train": root}
    counts = {name: sum(path.suffix.lower() in SUFFIXES for path in place.rglob("*")) for name, place in places.items()}
    return Facts(counts, sum(path.is_dir() for path in places["train"].iterdir()), encoded=True)


def source(settings: Settings) -> Source:
    """The pictures as they lie in their files.

    Raises:
        StepError: there is no such folder, it has no classes, or a class has no pictures.
    """
    root = Path(settings.folder).expanduser()
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
    listed = {split: _listed(place, classes) for split, place in places.items()}
    return Source(
        info={"classes": classes, "image_shape": list(settings.image_shape), "encoding": "encoded"},
        splits={split: files.stream for split, files in listed.items()},
        counts={split: len(files.labels) for split, files in listed.items()},
        version=settings.version,
        text=f"pictures of the folder {root.name}",
    )


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
    """The files of a split, held compactly: there may be millions.

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

    def stream(self) -> Iterator[Example]:
        """The files' bytes."""
        for start, label in zip(self.starts.tolist(), self.labels.tolist(), strict=True):
            path = self.place / os.fsdecode(self.names[start : self.names.index(b"\0", start)])
            try:
                image = path.read_bytes()
            except OSError as error:
                raise StepError(f"{path} cannot be read: {os.strerror(error.errno or 0)}") from None
            yield {"image": image, "label": label, "name": str(path)}


def _listed(place: Path, classes: list[str]) -> Files:
    """The pictures of a split.

    Raises:
        StepError: a class folder has none.
    """
    import numpy as np

    names, starts, labels, order = bytearray(), array("q"), array("l"), array("Q")
    for label, name in enumerate(classes):
        before = len(starts)
        for found in _pictures(place / name, place):
            relative = os.fsencode(found.relative_to(place))
            starts.append(len(names))
            labels.append(label)
            order.append(int.from_bytes(hashlib.blake2b(relative, digest_size=8).digest()))
            names += relative + b"\0"
        if len(starts) == before and (place / name).is_dir():
            raise StepError(
                f"the class folder {place / name} has no pictures ({', '.join(SUFFIXES)})",
                advice="fill it or remove it",
            )
    by_hash = np.argsort(np.array(order, np.uint64), kind="stable")
    return Files(place, bytes(names), np.array(starts, np.int64)[by_hash], np.array(labels, np.int32)[by_hash])


def _pictures(folder: Path, place: Path) -> Iterator[Path]:
    """The pictures at any depth; linked folders below the class folder are left out, as are pipes and devices.

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
        if entry.name.lower().endswith(SUFFIXES) and entry.is_file():
            path = folder / entry.name
            if entry.is_symlink():
                _stays(path, place)
            yield path
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _pictures(folder / entry.name, place)
