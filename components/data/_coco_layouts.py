"""Where tools put the annotations of a folder in COCO's format, and how they spell the names of its images."""

import posixpath
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from components.core import folders
from components.core.errors import StepError
from components.data import _splits
from components.vision import formats

# Beside the images: ours, Roboflow's, Label Studio's, FiftyOne's, and CVAT's of one subset.
FILES = (
    *("annotations.json", "_annotations.coco.json", "result.json", "labels.json", "instances.json"),
    *("instances_default.json", "annotations/instances_default.json"),
)
# One file for each split in one folder: CVAT, Datumaro and COCO itself.
FOLDER, PREFIX = "annotations", "instances_"
# Where images are, below the folder of a split.
IMAGES = ("", "images", "data")
UNLISTED = "images that no annotations list"


@dataclass(frozen=True)
class Place:
    """Where a split's annotations are.

    Attributes:
        file: the annotations.
        folders: in which their file names may start, below the root.
    """

    file: Path
    folders: tuple[str, ...]


def places(root: Path) -> dict[str, Place]:
    """Split -> its place.

    Raises:
        StepError: there is no folder, no annotations in it, or none for training.
    """
    if not root.is_dir():
        raise StepError(f"no such folder: {root}", advice="set data.folder to a folder on this machine")
    top = [entry.name for entry in folders.entries(root) if entry.is_dir()]
    own = {name: _file(root / name) for name in top if _splits.split_of(name)}
    by_split = {
        split: Place(file, tuple(posixpath.join(name, images) for images in IMAGES))
        for split, name in _splits.by_split(root, [name for name, file in own.items() if file]).items()
        if (file := own[name])
    }
    by_split = by_split or _of_one_folder(root)
    if not by_split and (file := _file(root)):
        by_split = {"train": Place(file, IMAGES)}
    if not by_split:
        raise StepError(
            f"{root} has neither {FILES[0]} nor train/{FILES[0]}",
            advice=f"put the annotations in COCO's format into {FILES[0]}, or give a folder as Roboflow, CVAT, Label "
            "Studio or COCO lay it out",
        )
    if "train" not in by_split:
        raise StepError(f"{root} has annotations for {', '.join(by_split)}, but none for train")
    return by_split


def _file(folder: Path) -> Path | None:
    return next((folder / name for name in FILES if (folder / name).is_file()), None)


def _of_one_folder(root: Path) -> dict[str, Place]:
    """The places of files such as ``annotations/instances_val2017.json``."""
    if not (root / FOLDER).is_dir():
        return {}
    subsets = {
        entry.name[len(PREFIX) : -len(".json")]: root / FOLDER / entry.name
        for entry in folders.entries(root / FOLDER)
        if entry.name.startswith(PREFIX) and entry.name.endswith(".json")
    }
    named = _splits.by_split(root / FOLDER, subsets)
    if not named and len(subsets) == 1:
        named = {"train": next(iter(subsets))}
    return {
        split: Place(subsets[name], (*IMAGES, name, posixpath.join("images", name), posixpath.join("data", name)))
        for split, name in named.items()
    }


class ImageFiles:
    """The files below a folder, found by the names that annotations give them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._paths = {path.relative_to(root).as_posix() for path, problem in folders.walk(root) if not problem}
        self._by_name: dict[str, list[str]] = defaultdict(list)

    def find(self, name: str, starts: Iterable[str]) -> str:
        """The path below the root of a file name that starts in one of some folders; empty if there is none."""
        for spelled in _spellings(name):
            for start in starts:
                if (path := posixpath.normpath(posixpath.join(start, spelled))) in self._paths:
                    return path
        return ""

    def similar(self, name: str) -> str:
        """A file of the same name in another folder, or in other letters; empty if there is none."""
        if not self._by_name:
            for path in sorted(self._paths):
                self._by_name[posixpath.basename(path).casefold()].append(path)
        spelled = (posixpath.basename(one).casefold() for one in _spellings(name))
        return next((self._by_name[one][0] for one in spelled if one in self._by_name), "")

    def unlisted(self, listed: set[str]) -> Counter[str]:
        """How many images the annotations do not list."""
        others = (self.root / path for path in self._paths - listed)
        count = sum(formats.is_image(path) for path in others)
        return Counter({UNLISTED: count} if count else {})


def _spellings(name: str) -> Iterator[str]:
    """A file's name, and what it means if another system wrote it: backslashes, percent-encoding as in a URL, Label
    Studio's ``?d=`` before a local path, composed or decomposed letters."""
    plain = name.rpartition("?d=")[2].replace("\\", "/")
    for spelled in dict.fromkeys((name, plain, unquote(plain))):
        yield spelled
        if not spelled.isascii():
            yield unicodedata.normalize("NFC", spelled)
            yield unicodedata.normalize("NFD", spelled)
