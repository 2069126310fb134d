"""A folder of pictures with boxes in COCO's format: annotations.json beside the pictures."""

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
# The lists of the file, and what each entry must have (cocodataset.org/#format-data).
LISTS: dict[str, tuple[str, ...]] = {
    "images": ("id", "file_name"),
    "categories": ("id", "name"),
    "annotations": ("id", "image_id", "category_id", "bbox"),
}


class Settings(DataSettings):
    """Pictures, and a file that tells the boxes of their objects. A picture without objects is one, too.

    Attributes:
        folder: holds ``annotations.json`` and the pictures it names, or the folders train and, where there are any,
            validation and test, each with its own ``annotations.json``, which are then the official splits.
        image_shape: height, width and channels that the model sees; pictures of other sizes are resized.
    """

    name: Literal["coco_folder"] = "coco_folder"
    task: str = "object_detection"
    folder: Annotated[str, Field(min_length=1)]
    image_shape: tuple[Positive, Positive, Literal[1, 3]]

    def input_shape(self) -> tuple[int, ...]:
        return self.image_shape


def state(settings: Settings) -> str:
    """A digest over the names, sizes and times of all files."""
    return folder_state(settings.folder)


def facts(settings: Settings) -> Facts | None:
    """Counted in the annotations, or None where the folder is not on this machine, or they cannot be read."""
    try:
        read = {split: Annotations.read(place) for split, place in _places(settings).items()}
    except StepError:
        return None
    return Facts({split: len(one.pictures) for split, one in read.items()}, len(read["train"].names), encoded=True)


def source(settings: Settings) -> Source:
    """The pictures as they lie in their files, with the boxes that the annotations give them.

    Raises:
        StepError: there is no such folder, its annotations cannot be read, or splits have other categories.
    """
    read = {split: Annotations.read(place) for split, place in _places(settings).items()}
    train = read["train"]
    for split, one in read.items():
        if one.names != train.names:
            raise StepError(f"{split} has other categories than train", advice="give every split the same list")
    return Source(
        info={
            "classes": list(train.names.values()),
            "image_shape": list(settings.image_shape),
            "encoding": "encoded",
            # 1 where no picture has an object: an array needs a size.
            "most_boxes": max(1, *(one.most_boxes() for one in read.values())),
        },
        splits={split: one.stream for split, one in read.items()},
        counts={split: len(one.pictures) for split, one in read.items()},
        version=settings.version,
        licence=train.licence,
        text=f"pictures with boxes of the folder {Path(settings.folder).name}",
    )


def _places(settings: Settings) -> dict[str, Path]:
    """The folder of each split.

    Raises:
        StepError: there is no folder, or no annotations in it.
    """
    root = Path(settings.folder).expanduser()
    if not root.is_dir():
        raise StepError(f"there is no folder {root}", advice="set data.folder to a folder on this machine")
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
    """A split's annotations; pictures in the order of the file.

    Attributes:
        place: the folder of the pictures.
        names: category id -> name, by rising ids; the order is that of the labels.
        pictures: picture id -> its entry.
        objects: picture id -> its annotations, those about crowds left out, which COCO's metrics neither reward nor
            punish.
        lost: annotations of pictures that there are not.
    """

    place: Path
    names: dict[int, str]
    pictures: dict[int, dict[str, Any]]
    objects: dict[int, list[dict[str, Any]]]
    lost: list[dict[str, Any]]
    licence: str

    @classmethod
    def read(cls, place: Path) -> "Annotations":
        """Read a folder's annotations.

        Raises:
            StepError: they are no JSON, or not in COCO's format; or an id stands for two things.
        """
        path = place / FILE
        found = _json(path)
        for name, keys in LISTS.items():
            _check_list(path, found, name, keys)
        # By id, whatever the file's order: every split must count the classes alike.
        categories = sorted(found["categories"], key=lambda entry: entry["id"])
        names = {entry["id"]: str(entry["name"]) for entry in categories}
        pictures = {entry["id"]: entry for entry in found["images"]}
        for name, made in (("categories", names), ("images", pictures)):
            if len(made) != len(found[name]):
                raise StepError(f"{path}: two of the {name} have the same id", advice="give each its own")
        if not names:
            raise StepError(f"{path} has no categories", advice="list the classes there")
        if len(set(names.values())) != len(names):
            raise StepError(f"{path}: two categories have the same name", advice="give each its own")
        objects: dict[int, list[dict[str, Any]]] = defaultdict(list)
        lost = []
        for entry in found["annotations"]:
            if entry["image_id"] not in pictures:
                lost.append(entry)
            elif not entry.get("iscrowd"):
                objects[entry["image_id"]].append(entry)
        return cls(place, names, pictures, objects, lost, _licence(found))

    def most_boxes(self) -> int:
        """Objects of the picture that has most."""
        return max(map(len, self.objects.values()), default=0)

    def stream(self) -> Iterator[Example]:
        """Every picture, with what is wrong with it or its objects, and then what belongs to no picture."""
        labels = {number: label for label, number in enumerate(self.names)}
        for number, entry in self.pictures.items():
            told = {"name": str(self.place / str(entry["file_name"])), "image": b""}
            try:
                image = self._bytes(entry)
                boxes, classes = self._objects(number, _size(entry, image), labels)
                yield {**told, "image": image, "boxes": boxes, "labels": classes}
            except ValueError as error:
                yield {**told, "fault": str(error)}
        for entry in self.lost:
            fault = f"there is no image with the id {entry['image_id']}"
            yield {"name": f"annotation {entry['id']} of {self.place / FILE}", "image": b"", "fault": fault}

    def _bytes(self, entry: dict[str, Any]) -> bytes:
        """A picture's file.

        Raises:
            ValueError: it is missing, cannot be read, or lies outside the folder.
        """
        path = self.place / str(entry["file_name"])
        # Who wrote the annotations must not have other files of this machine read.
        if not path.resolve().is_relative_to(self.place.resolve()):
            raise ValueError("the file lies outside the annotations' folder")
        try:
            return path.read_bytes()
        except OSError as error:
            raise ValueError(f"the file cannot be read: {os.strerror(error.errno or 0)}") from None

    def _objects(self, picture: int, size: tuple[int, int], labels: dict[int, int]) -> "tuple[np.ndarray, np.ndarray]":
        """A picture's boxes as fractions of its sides [objects, 4], and their labels [objects].

        Raises:
            ValueError: a category is unknown, or a box is none.
        """
        import numpy as np

        from components.vision.boxes import from_corner_and_size

        entries = self.objects.get(picture, [])
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
        StepError: it is none.
    """
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise StepError(f"{path} cannot be read: {os.strerror(error.errno or 0)}") from None
    except (ValueError, RecursionError) as error:
        raise StepError(f"{path} is no JSON: {error}", advice="export the annotations again") from None
    if not isinstance(found, dict):
        raise StepError(f"{path} is not in COCO's format: an object with {', '.join(LISTS)} was expected")
    return found


def _check_list(path: Path, found: dict[str, Any], name: str, keys: tuple[str, ...]) -> None:
    """Check that a list is there, and that its entries have what they must.

    Raises:
        StepError: what is missing, and of which entry.
    """
    entries = found.get(name)
    if not isinstance(entries, list):
        raise StepError(f"{path} is not in COCO's format: it has no list {name!r}")
    for number, entry in enumerate(entries):
        missing = [key for key in keys if key not in entry] if isinstance(entry, dict) else list(keys)
        if missing:
            raise StepError(f"{path}: {name}[{number}] lacks {', '.join(missing)}")
        if strange := [key for key in keys if key.endswith("id") and not isinstance(entry[key], int)]:
            raise StepError(f"{path}: {name}[{number}].{strange[0]} is no whole number")


def _size(entry: dict[str, Any], image: bytes) -> tuple[int, int]:
    """A picture's height and width, from its file's header.

    Raises:
        ValueError: it has none, or the annotations give others.
    """
    from components.vision import images

    try:
        height, width = images.size(image)
    except ValueError as error:
        raise ValueError(f"cannot be read as an image: {error}") from None
    told = entry.get("height", height), entry.get("width", width)
    if told != (height, width):
        raise ValueError(f"the picture is {width} x {height} pixels, the annotations say {told[1]} x {told[0]}")
    return height, width


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _licence(found: dict[str, Any]) -> str:
    """The name of the annotations' one licence, where they have one."""
    licences = found.get("licenses")
    if isinstance(licences, list) and len(licences) == 1 and isinstance(licences[0], dict):
        return str(licences[0].get("name") or "not stated")
    return "not stated"
