"""A folder of images with boxes in COCO's format: annotations.json next to the images."""

import json
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from components.core.config import Positive
from components.core.errors import StepError
from components.data import DataSettings, Example, Facts, Source, folder_state

if TYPE_CHECKING:
    import numpy as np

FILE = "annotations.json"
SPLITS = ("train", "validation", "test")
# The lists of the file, and the keys of each entry (cocodataset.org/#format-data).
LISTS: dict[str, tuple[str, ...]] = {
    "images": ("id", "file_name"),
    "categories": ("id", "name"),
    "annotations": ("id", "image_id", "category_id", "bbox"),
}


class Settings(DataSettings):
    """Images, and a file with the boxes of their objects. Images without objects are examples, too.

    Attributes:
        folder: contains ``annotations.json`` and its images, or the folders train and optionally validation and test,
            each with its own ``annotations.json``, which are then the official splits.
        image_shape: height, width and channels of the model's input; images of other sizes are resized.
    """

    name: Literal["coco_folder"] = "coco_folder"
    task: str = "object_detection"
    folder: Annotated[str, Field(min_length=1)]
    image_shape: tuple[Positive, Positive, Literal[1, 3]]

    def input_shape(self) -> tuple[int, ...]:
        return self.image_shape


def state(settings: Settings) -> str:
    """A digest of the names, sizes and times of all files."""
    return folder_state(settings.folder)


def facts(settings: Settings) -> Facts | None:
    """Counts from the annotations; None if they cannot be read."""
    try:
        splits = {split: Annotations.read(folder) for split, folder in _split_folders(settings).items()}
    except StepError:
        return None
    return Facts({split: len(one.images) for split, one in splits.items()}, len(splits["train"].names), encoded=True)


def source(settings: Settings) -> Source:
    """The image files, with their boxes from the annotations.

    Raises:
        StepError: the annotations are missing or cannot be read, or the splits have different categories.
    """
    splits = {split: Annotations.read(folder) for split, folder in _split_folders(settings).items()}
    train = splits["train"]
    for split, one in splits.items():
        if one.names != train.names:
            raise StepError(f"{split} and train have different categories", advice="give all splits the same list")
    return Source(
        info={
            "classes": list(train.names.values()),
            "image_shape": list(settings.image_shape),
            "encoding": "encoded",
            # At least 1: an array needs a size.
            "most_boxes": max(1, *(one.most_boxes() for one in splits.values())),
        },
        splits={split: one.stream for split, one in splits.items()},
        counts={split: len(one.images) for split, one in splits.items()},
        version=settings.version,
        licence=train.licence,
        text=f"pictures with boxes of the folder {Path(settings.folder).name}",
    )


def _split_folders(settings: Settings) -> dict[str, Path]:
    """The folder of each split.

    Raises:
        StepError: there is no folder, or no annotations in it.
    """
    root = Path(settings.folder).expanduser()
    if not root.is_dir():
        raise StepError(f"no such folder: {root}", advice="set data.folder to a folder on this machine")
    splits = {name: root / name for name in SPLITS if (root / name / FILE).is_file()}
    if "train" in splits:
        return splits
    if not (root / FILE).is_file():
        raise StepError(
            f"{root} has neither {FILE} nor train/{FILE}", advice=f"put the annotations in COCO's format into {FILE}"
        )
    return {"train": root}


@dataclass(frozen=True)
class Annotations:
    """A split's annotations; images in the order of the file.

    Attributes:
        folder: of the images.
        names: category id -> name, by ascending id, which is the order of the labels.
        images: image id -> its entry.
        objects: image id -> its annotations, without those of crowds, which COCO's metrics ignore.
        orphans: annotations of images that are not listed.
    """

    folder: Path
    names: dict[int, str]
    images: dict[int, dict[str, Any]]
    objects: dict[int, list[dict[str, Any]]]
    orphans: list[dict[str, Any]]
    licence: str

    @classmethod
    def read(cls, folder: Path) -> "Annotations":
        """Read a folder's annotations.

        Raises:
            StepError: they are not JSON or not in COCO's format, or an id occurs twice.
        """
        path = folder / FILE
        content = _json(path)
        for name, keys in LISTS.items():
            _check_list(path, content, name, keys)
        # By id, whatever the order of the file: all splits must have the same labels.
        categories = sorted(content["categories"], key=lambda entry: entry["id"])
        names = {entry["id"]: str(entry["name"]) for entry in categories}
        images = {entry["id"]: entry for entry in content["images"]}
        for name, by_id in (("categories", names), ("images", images)):
            if len(by_id) != len(content[name]):
                raise StepError(f"{path}: two of the {name} have the same id", advice="give each its own")
        if not names:
            raise StepError(f"{path} has no categories", advice="list the classes there")
        if len(set(names.values())) != len(names):
            raise StepError(f"{path}: two categories have the same name", advice="give each its own")
        objects: dict[int, list[dict[str, Any]]] = defaultdict(list)
        orphans = []
        for entry in content["annotations"]:
            if entry["image_id"] not in images:
                orphans.append(entry)
            elif not entry.get("iscrowd"):
                objects[entry["image_id"]].append(entry)
        return cls(folder, names, images, objects, orphans, _licence(content))

    def most_boxes(self) -> int:
        """The largest number of objects in an image."""
        return max(map(len, self.objects.values()), default=0)

    def stream(self) -> Iterator[Example]:
        """The images with their objects, or with their ``fault`` if something is wrong; then the orphans' faults."""
        labels = {number: label for label, number in enumerate(self.names)}
        for number, entry in self.images.items():
            example: Example = {"name": str(self.folder / str(entry["file_name"])), "image": b""}
            try:
                image = self._bytes(entry)
                boxes, classes = self._objects(number, _size(entry, image), labels)
                yield {**example, "image": image, "boxes": boxes, "labels": classes}
            except ValueError as error:
                yield {**example, "fault": str(error)}
        for entry in self.orphans:
            reason = f"there is no image with the id {entry['image_id']}"
            yield {"name": f"annotation {entry['id']} of {self.folder / FILE}", "image": b"", "fault": reason}

    def _bytes(self, entry: dict[str, Any]) -> bytes:
        """An image's file.

        Raises:
            ValueError: the file is missing, cannot be read, or is outside the folder.
        """
        path = self.folder / str(entry["file_name"])
        # Whoever wrote the annotations must not make the step read other files of this machine.
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise ValueError("the file is outside the annotations' folder")
        try:
            return path.read_bytes()
        except OSError as error:
            raise ValueError(f"the file cannot be read: {os.strerror(error.errno or 0)}") from None

    def _objects(self, image: int, size: tuple[int, int], labels: dict[int, int]) -> "tuple[np.ndarray, np.ndarray]":
        """The boxes of an image as fractions of its sides [objects, 4], and their labels [objects].

        Raises:
            ValueError: a category or box is not valid.
        """
        import numpy as np

        from components.vision.boxes import from_corner_and_size

        entries = self.objects.get(image, [])
        for entry in entries:
            if entry["category_id"] not in labels:
                raise ValueError(f"annotation {entry['id']}: there is no category with the id {entry['category_id']}")
            box = entry["bbox"]
            if not (isinstance(box, list) and len(box) == 4 and all(map(_is_number, box))):
                raise ValueError(f"annotation {entry['id']}: bbox must be 4 numbers: left, top, width, height")
        corners = from_corner_and_size(np.array([entry["bbox"] for entry in entries], np.float64).reshape(-1, 4))
        height, width = size
        boxes = (corners / [width, height, width, height]).astype(np.float32)
        return boxes, np.array([labels[entry["category_id"]] for entry in entries], np.int64)


def _json(path: Path) -> dict[str, Any]:
    """A file's JSON object.

    Raises:
        StepError: it is not an object.
    """
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise StepError(f"{path} cannot be read: {os.strerror(error.errno or 0)}") from None
    except (ValueError, RecursionError) as error:
        raise StepError(f"{path} is not JSON: {error}", advice="export the annotations again") from None
    if not isinstance(content, dict):
        raise StepError(f"{path} is not in COCO's format: an object with {', '.join(LISTS)} was expected")
    return content


def _check_list(path: Path, content: dict[str, Any], name: str, keys: tuple[str, ...]) -> None:
    """Check a list and the keys of its entries.

    Raises:
        StepError: the list, or a key of an entry, is missing or not valid.
    """
    entries = content.get(name)
    if not isinstance(entries, list):
        raise StepError(f"{path} is not in COCO's format: it has no list {name!r}")
    for number, entry in enumerate(entries):
        missing = [key for key in keys if key not in entry] if isinstance(entry, dict) else list(keys)
        if missing:
            raise StepError(f"{path}: {name}[{number}] lacks {', '.join(missing)}")
        if wrong := [key for key in keys if key.endswith("id") and not isinstance(entry[key], int)]:
            raise StepError(f"{path}: {name}[{number}].{wrong[0]} is not a whole number")


def _size(entry: dict[str, Any], image: bytes) -> tuple[int, int]:
    """An image's height and width, from its file's header.

    Raises:
        ValueError: the header is not valid, or the annotations have another size.
    """
    from components.vision import images

    try:
        height, width = images.size(image)
    except ValueError as error:
        raise ValueError(f"cannot be read as an image: {error}") from None
    annotated = entry.get("height", height), entry.get("width", width)
    if annotated != (height, width):
        raise ValueError(f"the image is {width} x {height} pixels, the annotations say {annotated[1]} x {annotated[0]}")
    return height, width


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _licence(content: dict[str, Any]) -> str:
    """The name of the annotations' licence, if they have exactly one."""
    licences = content.get("licenses")
    if isinstance(licences, list) and len(licences) == 1 and isinstance(licences[0], dict):
        return str(licences[0].get("name") or "not stated")
    return "not stated"
