"""Summary of images with boxes for the data report: objects by class, their number and size, and a sample."""

import struct
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from components.core import reports
from components.core.examples import Records
from components.tasks._sample import SPLITS, Sample, by_class, rare
from components.tasks.contract import Summary
from components.vision import box_drawing, images
from components.vision.boxes import areas

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURES_SHOWN, SIDE_SHOWN = 24, 256
# Equal parts of 0..1 for the side of a box, and numbers of objects told apart.
BINS, MOST_COUNTED = 40, 30
HEAD = struct.Struct("<I")


class _Packed:
    """Pictures with their boxes and labels packed into one value, on demand."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def __getitem__(self, position: int) -> bytes:
        features = self._records.features
        boxes, labels = features["boxes"][position], features["labels"][position]
        return HEAD.pack(len(labels) // 8) + boxes + labels + bytes(self._records.contents[position])


class BoxSummary(Summary):
    """Counts of objects by class, how many a picture has, how large they are, and a few pictures of train.

    Attributes:
        counts: objects, integers [splits, classes].
        many: training pictures with 0, 1, 2, ... objects, the last number and more together.
        sides: training objects by the square root of the part of the picture that their box covers.
    """

    def __init__(self, names: list[str], pixels: Callable[[bytes], np.ndarray]) -> None:
        """``pixels`` makes a stored picture an array, uint8 [height, width, channels]."""
        self.names, self._pixels = names, pixels
        self.counts = np.zeros((len(SPLITS), len(names)), np.int64)
        self.many = np.zeros(MOST_COUNTED + 1, np.int64)
        self.sides = np.zeros(BINS, np.int64)
        self._sample = Sample(1, PICTURES_SHOWN)

    def update(self, records: Records, keys: np.ndarray, splits: np.ndarray) -> None:
        counts = np.asarray(records.features["count"])
        labels = np.frombuffer(b"".join(records.features["labels"]), "<i8")
        boxes = np.frombuffer(b"".join(records.features["boxes"]), "<f4").reshape(-1, 4)
        np.add.at(self.counts, (np.repeat(splits, counts), labels), 1)
        training = splits == 0
        self.many += np.bincount(np.minimum(counts[training], MOST_COUNTED), minlength=MOST_COUNTED + 1)
        sides = np.sqrt(areas(boxes[np.repeat(training, counts)]))
        self.sides += np.bincount(np.minimum(sides * BINS, BINS - 1).astype(int), minlength=BINS)
        self._sample.update(_Packed(records), keys, np.zeros(len(keys), int), training)

    def facts(self) -> dict[str, Any]:
        """For the top of the page."""
        return {"classes": len(self.names), "objects": int(self.counts.sum())}

    def notes(self) -> Iterator[Markup]:
        yield from rare(self.names, self.counts[0], "objects")
        if self.many[0]:
            yield reports.note(f"{self.many[0]:,} training pictures have no object.")

    def sections(self, splits: list[str]) -> list[Markup]:
        """The page's sections."""
        return [
            reports.section("Pictures", reports.gallery(self._pictures())),
            reports.section("Objects by class and split", by_class(self.names, self.counts, splits)),
            reports.section("Number and size", reports.figure(self._figure(), "number and size of objects")),
        ]

    def _pictures(self) -> Iterator[tuple[np.ndarray, str]]:
        for packed in self._sample.contents()[0]:
            (count,) = HEAD.unpack_from(packed)
            boxes = np.frombuffer(packed, "<f4", 4 * count, HEAD.size).reshape(-1, 4)
            labels = np.frombuffer(packed, "<i8", count, HEAD.size + 16 * count)
            pixels = images.thumbnail(self._pixels(packed[HEAD.size + 24 * count :]), SIDE_SHOWN)
            picture = box_drawing.draw(pixels, box_drawing.labelled_boxes(boxes, labels, self.names), SIDE_SHOWN)
            yield picture, f"{count} objects" if count != 1 else "1 object"

    def _figure(self) -> "Figure":
        from matplotlib.figure import Figure

        drawing = Figure(figsize=(8, 2.4), layout="constrained")
        left, right = drawing.subplots(1, 2)
        last = int(np.flatnonzero(self.many)[-1]) if self.many.any() else 0
        left.bar(range(last + 1), self.many[: last + 1], color="#3b6ea5")
        left.set(xlabel="objects in a training picture", ylabel="pictures")
        right.bar(np.arange(BINS) / BINS, self.sides, width=1 / BINS, align="edge", color="#3b6ea5")
        right.set(xlabel="root of the part of the picture covered", ylabel="objects", xlim=(0, 1))
        for axes in (left, right):
            for side in ("top", "right"):
                axes.spines[side].set_visible(False)
        return drawing
