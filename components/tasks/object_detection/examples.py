"""Examples: an image and the boxes about its objects."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from components.core.examples import Likeness, Records, TfdsConversion
from components.tasks import _features, contract
from components.tasks._images import image_shape, near_duplicates
from components.tasks._images.examples import array_faults, feature, identity, normalised, parse_images, pixels
from components.tasks.object_detection import Info
from components.tasks.object_detection.summary import BoxSummary
from components.vision.boxes import NONE

if TYPE_CHECKING:
    import tensorflow as tf

# More objects in one image are a fault of the data; COCO's images have 93 at most.
MOST_BOXES = 100
# A box may stick out of its image by so much of a side, which is cut off: rounding, as in COCO's own annotations.
ROUNDING = 0.005


class Examples(contract.Examples[Info]):
    """An example of a source has ``image`` (a uint8 array, or the bytes of an image file), ``boxes`` [objects, 4] as
    fractions of the sides of the upright image, and ``labels`` [objects].

    Stored boxes are four float32 each (left, top, right, bottom as fractions of the sides), labels int64, as raw
    little-endian bytes; ``count`` is their number, which may be 0. Height and width are the image's own, in pixels.
    """

    kinds: ClassVar[dict[str, type]] = {
        "image": bytes,
        "key": bytes,
        "boxes": bytes,
        "labels": bytes,
        "count": int,
        "height": int,
        "width": int,
    }
    likeness: ClassVar[Likeness | None] = near_duplicates

    def features(self) -> dict[str, Any]:
        from tensorflow_datasets import features

        return super().features() | {
            "image": feature(self.info),
            "boxes": features.Tensor(shape=(None, 4), dtype=np.float32, encoding="bytes"),
            "labels": features.Tensor(shape=(None,), dtype=np.int64, encoding="bytes"),
        }

    def to_records(self, examples: list[dict[str, Any]]) -> Records:
        """Faults: undecodable images, boxes outside or without area, labels outside the classes."""
        raw = self.info["encoding"] == "raw"
        faults = array_faults([example["image"] for example in examples], self.info) if raw else {}
        contents, rows, sketches = [], [], []
        identities: list[bytes] = []
        for position, example in enumerate(examples):
            if position in faults:
                continue
            try:
                content, decoded = (
                    (example["image"].tobytes(), example["image"]) if raw else normalised(example["image"], self.info)
                )
                shape = decoded.shape
                boxes, labels = _check_objects(example, shape, self.info)
            except ValueError as error:
                faults[position] = str(error)
                continue
            contents.append(content)
            identities.append(content if raw else identity(decoded))
            sketches.append(near_duplicates.sketch(decoded[None])[0])
            rows.append((boxes.astype("<f4").tobytes(), labels.astype("<i8").tobytes(), len(labels), *shape[:2]))
        columns: list[Any] = [list(column) for column in zip(*rows, strict=True)] or [[], [], [], [], []]
        numbers = zip(tuple(self.kinds)[4:], columns[2:], strict=True)
        features: dict[str, Any] = {name: np.array(column, np.int64) for name, column in numbers}
        features |= {"boxes": columns[0], "labels": columns[1]}
        named = {name: features[name] for name in tuple(self.kinds)[2:]}
        stacked = np.stack(sketches) if sketches else np.empty((0, 0), np.uint8)
        return Records(contents, named, dict(sorted(faults.items())), None if raw else identities, stacked)

    def parse(self, records: "tf.Tensor") -> "dict[str, tf.Tensor]":
        """``image`` uint8 [batch, height, width, channels]; ``boxes`` float32 [batch, most_boxes, 4] and ``labels``
        int64 [batch, most_boxes], padded with 0 and NONE; the others [batch]."""
        import tensorflow as tf

        batch = super().parse(records)
        most = self.info["most_boxes"]
        boxes = tf.reshape(tf.io.decode_raw(batch["boxes"], tf.float32, fixed_length=16 * most), [-1, most, 4])
        labels = tf.reshape(tf.io.decode_raw(batch["labels"], tf.int64, fixed_length=8 * most), [-1, most])
        present = tf.range(most, dtype=tf.int64)[None] < batch["count"][:, None]
        image = parse_images(batch["image"], self.info)
        return batch | {"image": image, "boxes": boxes, "labels": tf.where(present, labels, NONE)}

    def summary(self) -> BoxSummary:
        return BoxSummary(self.info["classes"], lambda image: pixels(image, self.info))

    @staticmethod
    def from_tfds(features: Any, settings: Any, supervised: Sequence[str] = ()) -> TfdsConversion:
        """Data sets with a picture and a sequence of objects, each with a box and a class, such as ``coco/2017`` and
        ``voc``; ``data.label`` names the class within the objects. Boxes about crowds, which COCO neither rewards nor
        punishes, are left out."""
        shape = image_shape(settings)
        image = _features.find_content(features, settings, supervised, "image", _features.is_picture)
        if type(features[image]).__name__ != "Image":
            raise ValueError("has pictures that are not image files")
        within = {name: dict(part.feature.items()) for name, part in sorted(features.items()) if _has_boxes(part)}
        if not within:
            raise ValueError(f"has {', '.join(features)}, where a sequence of objects with a bbox was expected")
        name = "objects" if "objects" in within else next(iter(within))
        bbox = next(part for part, kind in within[name].items() if type(kind).__name__ == "BBoxFeature")
        label = _features.find_label(within[name], settings)

        def convert(example: Mapping[str, Any]) -> dict[str, Any]:
            objects = example[name]
            crowd = np.asarray(objects.get("is_crowd", np.zeros(len(objects[label]), bool)), bool)
            # TFDS has top, left, bottom, right.
            boxes = np.asarray(objects[bbox], np.float32).reshape(-1, 4)[:, [1, 0, 3, 2]]
            return {"image": example[image], "boxes": boxes[~crowd], "labels": np.asarray(objects[label])[~crowd]}

        info = {"image_shape": shape, "encoding": "encoded", "most_boxes": MOST_BOXES}
        return TfdsConversion(
            {**info, **_features.classes(within[name][label])}, convert, undecoded=(image,), label=(name, label)
        )


def _has_boxes(feature: Any) -> bool:
    parts: Any = getattr(feature, "feature", None)
    return hasattr(parts, "items") and any(type(part).__name__ == "BBoxFeature" for _, part in parts.items())


def _check_objects(example: dict[str, Any], shape: tuple[int, ...], info: Info) -> tuple[np.ndarray, np.ndarray]:
    """Boxes [objects, 4] and labels [objects] of an example.

    Raises:
        ValueError: what is wrong with the first bad one.
    """
    boxes = np.asarray(example["boxes"], np.float32).reshape(-1, 4)
    labels = np.asarray(example["labels"], np.int64).reshape(-1)
    if len(boxes) != len(labels):
        raise ValueError(f"{len(boxes)} boxes and {len(labels)} labels")
    if len(boxes) > info["most_boxes"]:
        raise ValueError(f"{len(boxes)} objects, at most {info['most_boxes']} were expected")
    last = len(info["classes"]) - 1
    for number, (box, label) in enumerate(zip(boxes, labels.tolist(), strict=True), 1):
        if problem := _box_problem(box, shape) or ("" if 0 <= label <= last else f"label {label} is outside 0..{last}"):
            raise ValueError(f"object {number}: {problem}")
    return np.clip(boxes, 0, 1), labels


def _box_problem(box: np.ndarray, shape: tuple[int, ...]) -> str:
    """What is wrong with a box, in pixels, or an empty string."""
    height, width = shape[:2]
    if not np.isfinite(box).all():
        return "its box has an edge that is not a number"
    left, top, right, bottom = (box * [width, height, width, height]).tolist()
    described = f"its box from ({left:g}, {top:g}) to ({right:g}, {bottom:g})"
    if right < left or bottom < top:
        return f"{described} is inverted: left to right and top to bottom were expected"
    if right == left or bottom == top:
        return f"{described} has no area"
    if box.min() < -ROUNDING or box.max() > 1 + ROUNDING:
        return f"{described} lies outside the picture of {width} x {height} pixels"
    return ""
