"""Folders of files with a folder for each class, listed compactly: there may be millions of files."""

import hashlib
import os
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from components.core import folders, project
from components.core.errors import StepError
from components.data import Example, _splits, left_out, local_path

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        accepts: whether a file is one; raises OSError if it cannot be read.
        plural: its name in messages.
        formats: those that are accepted, for messages.
    """

    accepts: Callable[[Path], bool]
    plural: str
    formats: str


def open_folder(folder: str, kind: Kind) -> "tuple[list[str], dict[str, Files]]":
    """The classes of a folder, sorted, and the files of its splits.

    The folder contains a folder for each class, or the folders train and optionally validation and test, which contain
    the classes. A file may be at any depth in the folder of its class.

    Raises:
        StepError: the folder does not exist, it has no classes, or a class has no files.
    """
    root = local_path(folder)
    classes, splits = _layout(root)
    files = {split: _list_files(path, classes, kind) for split, path in splits.items()}
    outside = [path for path in {root, *splits.values()} for entry in folders.entries(path) if entry.is_file()]
    files["train"].left_out.update({"files outside the class folders": len(outside)} if outside else {})
    return classes, files


def count_files(folder: str, kind: Kind) -> tuple[dict[str, int], int] | None:
    """Number of files of each split, and of classes; None if the folder does not exist or is not one of classes."""
    try:
        classes, splits = _layout(project.path(folder))
        files = {
            split: sum(not problem for *_, problem in _listed(path, classes, kind)) for split, path in splits.items()
        }
    except StepError:
        return None
    return files, len(classes)


def _layout(root: Path) -> tuple[list[str], dict[str, Path]]:
    """The classes of a folder, sorted, and the folders of its splits.

    Raises:
        StepError: the folder does not exist, or is not one of classes.
    """
    if not root.is_dir():
        raise StepError(f"no such folder: {root}", advice="set data.folder to a folder on this machine")
    top = _subfolders(root)
    official = _splits.by_split(root, top)
    others = [name for name in top if name not in official.values()]
    # A folder called train that holds no folders is a class among others.
    if official and (not others or ("train" in official and _subfolders(root / official["train"]))):
        if others:
            raise StepError(
                f"{root / others[0]} is next to {official['train']}",
                advice=f"only validation and test may be; if it is a class, put all classes into {root / 'train'}",
            )
        if "train" not in official:
            raise StepError(f"{root} has {', '.join(official.values())}, but no train", advice="add the folder train")
        splits = {split: root / name for split, name in official.items()}
    else:
        splits = {"train": root}
    classes = _subfolders(splits["train"])
    if len(classes) < 2:
        raise StepError(f"{splits['train']} has {len(classes)} class folders, at least 2 were expected")
    for path in splits.values():
        if unknown := sorted(set(_subfolders(path)) - set(classes)):
            raise StepError(f"{path / unknown[0]} is a class that {splits['train']} does not have")
    return classes, splits


def _subfolders(folder: Path) -> list[str]:
    """The names of the folders in a folder, sorted.

    Raises:
        StepError: one of them is a link that leads out of it.
    """
    names = []
    for entry in folders.entries(folder):
        if entry.is_dir():
            if entry.is_symlink():
                folders.check_link(folder / entry.name, folder)
            names.append(entry.name)
    return names


@dataclass(frozen=True)
class Files:
    """The files of a split.

    Attributes:
        folder: of the split.
        names: paths below ``folder``, one after the other, each ended by a zero byte.
        starts: the offset of each name, in the order of a hash of the names: classes are mixed, and adding a file does
            not change the order of the others.
        labels: classes, in the same order.
        left_out: reason -> number of other files.
    """

    folder: Path
    names: bytes
    starts: "np.ndarray"
    labels: "np.ndarray"
    left_out: Counter[str]

    def count(self) -> int:
        """All files, those that are left out too."""
        return len(self.labels) + self.left_out.total()

    def examples(self, content: str, limit: int = -1) -> Iterator[Example]:
        """Each file with its label, name and ``content``: its bytes, at most ``limit`` if given."""
        yield from left_out(self.left_out)
        for start, label in zip(self.starts.tolist(), self.labels.tolist(), strict=True):
            path = self.folder / os.fsdecode(self.names[start : self.names.index(b"\0", start)])
            try:
                with path.open("rb") as stream:
                    yield {content: stream.read(limit), "label": label, "name": str(path)}
            except OSError as error:
                yield {"name": str(path), "fault": f"the file cannot be read: {os.strerror(error.errno or 0)}"}


def _list_files(split: Path, classes: list[str], kind: Kind) -> Files:
    """The files of a split.

    Raises:
        StepError: a class folder has no files.
    """
    import numpy as np

    names, starts, labels, order = bytearray(), array("q"), array("l"), array("Q")
    others: Counter[str] = Counter()
    for label, path, problem in _listed(split, classes, kind):
        if problem:
            others[problem] += 1
            continue
        relative = os.fsencode(path.relative_to(split))
        starts.append(len(names))
        labels.append(label)
        order.append(int.from_bytes(hashlib.blake2b(relative, digest_size=8).digest()))
        names += relative + b"\0"
    filled = set(labels)
    for label, name in enumerate(classes):
        if label not in filled and (split / name).is_dir():
            raise StepError(
                f"the class folder {split / name} has no {kind.plural} ({kind.formats})", advice="fill it or remove it"
            )
    by_hash = np.argsort(np.array(order, np.uint64), kind="stable")
    return Files(split, bytes(names), np.array(starts, np.int64)[by_hash], np.array(labels, np.int32)[by_hash], others)


def _listed(split: Path, classes: list[str], kind: Kind) -> Iterator[tuple[int, Path, str]]:
    """Label and path of every file in the class folders of a split, and why it is left out, or an empty string.

    Raises:
        StepError: a link leads out of the split's folder.
    """
    for label, name in enumerate(classes):
        if (split / name).is_dir():
            for path, problem in folders.walk(split / name, split):
                yield label, path, problem or _problem(path, kind)


def _problem(path: Path, kind: Kind) -> str:
    try:
        if kind.accepts(path):
            return ""
    except OSError:
        return "files that cannot be read"
    suffix = path.suffix.lower()
    # Numbers and titles after a dot are not endings: there would be as many reasons as files.
    return f"{suffix} files" if suffix[1:].isalpha() and len(suffix) < 8 else "files of other kinds"
