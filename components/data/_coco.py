"""Annotations in COCO's format: images, categories, and the boxes or masks of objects."""

import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.core.errors import StepError
from components.data import Example, left_out
from components.data._coco_layouts import ImageFiles, Place
from components.vision.formats import Header

if TYPE_CHECKING:
    import numpy as np

# The lists of the file, and the keys of each entry (cocodataset.org/#format-data).
LISTS: dict[str, tuple[str, ...]] = {
    "images": ("id", "file_name"),
    "categories": ("id", "name"),
    "annotations": ("image_id", "category_id"),
}
# What tools write for no and yes.
NO, YES = frozenset({"", "0", "0.0", "false", "no", "none"}), frozenset({"1", "1.0", "true", "yes"})
# Whatever JSON has but lists and objects, as in pycocotools.
Id = str | int | float | None


@dataclass(frozen=True)
class Annotations:
    """A split's annotations; images in the order of the file.

    Attributes:
        names: category id -> name, by ascending id, which is the order of the labels.
        images: image id -> its entry.
        objects: image id -> its annotations, without those of crowds, which COCO's metrics ignore.
        orphans: annotations of images that are not listed.
        crowds: number of annotations of crowds.
    """

    location: Place
    names: dict[Id, str]
    images: dict[Id, dict[str, Any]]
    objects: dict[Id, list[dict[str, Any]]]
    orphans: list[dict[str, Any]]
    crowds: int
    licence: str

    @classmethod
    def read(cls, location: Place) -> "Annotations":
        """Read a split's annotations.

        Raises:
            StepError: they are not JSON or not in COCO's format, or an id occurs twice.
        """
        path = location.file
        content = _json(path)
        for name, keys in LISTS.items():
            _check_list(path, content, name, keys)
        # By id, whatever the order of the file: all splits must have the same labels.
        categories = sorted(content["categories"], key=lambda entry: _order(entry["id"]))
        names = {entry["id"]: str(entry["name"]) for entry in categories}
        images = {entry["id"]: entry for entry in content["images"]}
        for name, by_id in (("categories", names), ("images", images)):
            if len(by_id) != len(content[name]):
                raise StepError(f"{path}: two of the {name} have the same id", advice="give each its own")
        if not names:
            raise StepError(f"{path} has no categories", advice="list the classes there")
        if len(set(names.values())) != len(names):
            raise StepError(f"{path}: two categories have the same name", advice="give each its own")
        objects: dict[Id, list[dict[str, Any]]] = defaultdict(list)
        orphans, crowds = [], 0
        for number, entry in enumerate(content["annotations"]):
            entry.setdefault("id", f"annotations[{number}]")
            if entry["image_id"] not in images:
                orphans.append(entry)
            elif _is_crowd(path, entry):
                crowds += 1
            else:
                objects[entry["image_id"]].append(entry)
        return cls(location, names, images, dict(objects), orphans, crowds, _licence(content))

    def most_boxes(self) -> int:
        """The largest number of objects in an image."""
        return max(map(len, self.objects.values()), default=0)

    def count(self) -> int:
        """Examples, good and bad."""
        return len(self.images) + len(self.orphans)

    def notes(self, split: str) -> Iterator[str]:
        """What the data report says of them."""
        if self.crowds:
            total = self.crowds + sum(map(len, self.objects.values()))
            yield f"{self.crowds:,} of {total:,} objects of {split} are marked iscrowd and left out."
        if not self.objects:
            yield f"No image of {split} has an object."

    def listed(self, files: ImageFiles) -> Iterator[str]:
        """The paths of the images that are there."""
        for entry in self.images.values():
            if path := files.find(str(entry["file_name"]), self.location.folders):
                yield path

    def stream(self, files: ImageFiles, others: Mapping[str, int]) -> Iterator[Example]:
        """What is left out; the images with their objects, or with their ``fault``; then the orphans' faults."""
        yield from left_out(others)
        labels = {number: label for label, number in enumerate(self.names)}
        for number, entry in self.images.items():
            path = files.find(str(entry["file_name"]), self.location.folders)
            file = files.root / (path or f"{self.location.folders[0]}/{entry['file_name']}".lstrip("/"))
            example: Example = {"name": str(file)}
            try:
                image = _bytes(file, files, "" if path else str(entry["file_name"]))
                boxes, classes = self._objects(number, entry, image, labels)
                yield {**example, "image": image, "boxes": boxes, "labels": classes}
            except ValueError as error:
                yield {**example, "fault": str(error)}
        for entry in self.orphans:
            reason = f"there is no image with the id {entry['image_id']}"
            yield {"name": f"annotation {entry['id']} of {self.location.file}", "fault": reason}

    def _objects(
        self, number: Id, entry: dict[str, Any], image: bytes, labels: Mapping[Id, int]
    ) -> "tuple[np.ndarray, np.ndarray]":
        """The boxes of an image as fractions of its sides [objects, 4], upright, and their labels [objects].

        Raises:
            ValueError: it is not an image, or a category, a box or the stated size is not valid.
        """
        import numpy as np

        from components.vision import boxes, images

        try:
            header = images.header(image)
        except ValueError as error:
            raise ValueError(f"cannot be read as an image: {error}") from None
        height, width = _size(entry, header)
        entries = self.objects.get(number, [])
        for one in entries:
            if one["category_id"] not in labels:
                raise ValueError(f"annotation {one['id']}: there is no category with the id {one['category_id']}")
        edges = np.array([_box(one) for one in entries], np.float64).reshape(-1, 4)
        fractions = boxes.from_corner_and_size(edges) / [width, height, width, height]
        if (height, width) != header.shown:
            fractions = boxes.turned(fractions, header.orientation)
        return fractions.astype(np.float32), np.array([labels[one["category_id"]] for one in entries], np.int64)


def _bytes(file: Path, files: ImageFiles, missing: str) -> bytes:
    """An image's file; ``missing`` is the name in the annotations if there is none of that name.

    Raises:
        ValueError: the file is missing, cannot be read, or is outside the folder.
    """
    # Whoever wrote the annotations must not make the step read other files of this machine.
    if not file.resolve().is_relative_to(files.root.resolve()):
        raise ValueError("the file is outside the annotations' folder")
    try:
        return file.read_bytes()
    except OSError as error:
        similar = files.similar(missing) if missing else ""
        hint = f"; did you mean {similar}?" if similar else ""
        raise ValueError(f"the file cannot be read: {os.strerror(error.errno or 0)}{hint}") from None


def _size(entry: dict[str, Any], header: Header) -> tuple[int, int]:
    """The height and width that the annotations' boxes are about: those of the image as it is shown, or as it is stored
    where only these are the stated ones.

    Raises:
        ValueError: the annotations state another size.
    """
    stated = tuple(_stated(entry, side) for side in ("height", "width"))
    for size in (header.shown, (header.height, header.width)):
        if all(one in (None, side) for one, side in zip(stated, size, strict=True)):
            return size
    height, width = header.shown
    stated_height, stated_width = (one or side for one, side in zip(stated, header.shown, strict=True))
    raise ValueError(
        f"the image is {width} x {height} pixels, the annotations say {stated_width:g} x {stated_height:g}"
    )


def _stated(entry: dict[str, Any], side: str) -> float | None:
    """A side of an image in pixels; None if it is not stated: missing, null, empty or 0."""
    value = entry.get(side)
    if value is None or value == "":
        return None
    number = _number(value)
    if number is None:
        raise ValueError(f"its {side} {value!r} is not a number")
    return number or None


def _box(entry: dict[str, Any]) -> list[float]:
    """An object's box, left, top, width, height in pixels; its mask's if it has none of its own.

    Raises:
        ValueError: it has neither, or they are not valid.
    """
    box, mask = entry.get("bbox"), entry.get("segmentation")
    numbers = [_number(value) for value in box] if isinstance(box, list) else []
    if mask and (box is None or (isinstance(box, list) and not any(numbers) and None not in numbers)):
        return _box_of_mask(entry, mask)
    edges = [number for number in numbers if number is not None]
    if len(edges) != 4 or len(numbers) != 4:
        raise ValueError(f"annotation {entry['id']}: bbox must be 4 numbers: left, top, width, height")
    return edges


def _box_of_mask(entry: dict[str, Any], mask: Any) -> list[float]:
    """The box about a mask: polygons of x and y in turn, or run lengths, plain or compressed."""
    wrong = ValueError(f"annotation {entry['id']}: it has no bbox, and its segmentation is neither polygons nor RLE")
    if isinstance(mask, list):
        polygons = mask if isinstance(mask[0], list) else [mask]
        numbers = [[_number(value) for value in polygon] for polygon in polygons if isinstance(polygon, list)]
        points = [value for polygon in numbers for value in polygon if value is not None]
        if len(numbers) != len(polygons) or any(len(one) % 2 or len(one) < 6 or None in one for one in numbers):
            raise wrong
        left, top = min(points[::2]), min(points[1::2])
        return [left, top, max(points[::2]) - left, max(points[1::2]) - top]
    size, counts = (mask.get("size"), mask.get("counts")) if isinstance(mask, dict) else (None, None)
    if not (isinstance(size, list) and len(size) == 2 and all(isinstance(side, int) and side > 0 for side in size)):
        raise wrong
    if not isinstance(counts, str | list):
        raise wrong
    from pycocotools import mask as masks

    try:
        packed = (
            masks.frPyObjects(mask, size[0], size[1])
            if isinstance(counts, list)
            else {**mask, "counts": counts.encode()}
        )
        box: list[float] = masks.toBbox(packed).tolist()
    except (ValueError, TypeError, OverflowError):
        raise wrong from None
    return box


def _number(value: Any) -> float | None:
    """A number, also one written as text; None if it is not one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def _order(number: Id) -> tuple[bool, float, str]:
    """The order of ids: numbers before texts."""
    value = float(number) if isinstance(number, int | float) else None
    return value is None, value or 0.0, str(number)


def _is_crowd(path: Path, entry: dict[str, Any]) -> bool:
    """Whether an annotation is about a crowd.

    Raises:
        StepError: ``iscrowd`` is neither yes nor no.
    """
    said = str(entry.get("iscrowd", "")).lower()
    if said not in NO | YES:
        raise StepError(f"{path}: annotation {entry['id']}: iscrowd is {said[:40]!r}, 0 or 1 was expected")
    return said in YES


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
        if wrong := [key for key in keys if key.endswith("id") and isinstance(entry[key], list | dict)]:
            raise StepError(f"{path}: {name}[{number}].{wrong[0]} is neither a number nor a text")


def _licence(content: dict[str, Any]) -> str:
    """The name of the annotations' licence, if they have exactly one."""
    licences = content.get("licenses")
    if isinstance(licences, list) and len(licences) == 1 and isinstance(licences[0], dict):
        return str(licences[0].get("name") or "not stated")
    return "not stated"
