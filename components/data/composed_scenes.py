"""Composed scenes: real Fashion-MNIST items pasted on a canvas, so that their boxes are known by construction."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from components.core.config import Fraction, Positive
from components.data import DataSettings, Example, Facts, Source, fashion_mnist

if TYPE_CHECKING:
    import numpy as np

# An item's longer side, as parts of the canvas's side; the source's pictures are of 28 pixels.
SMALLEST, LARGEST = 0.15, 0.45
# How much of the smaller of two boxes the other may cover.
MOST_COVERED = 0.2
# Places tried for an item before it is left out.
TRIES = 30


class Settings(DataSettings):
    """Scenes composed of Fashion-MNIST's items; those of the test split are made of its test items alone.

    Attributes:
        side: height and width of a scene in pixels.
        most_items: a scene has 1 to so many.
        train_scenes: how many for training and validation.
        test_scenes: how many for the test.
        seed: other seeds compose other scenes.
    """

    name: Literal["composed_scenes"] = "composed_scenes"
    task: str = "object_detection"
    split: tuple[Fraction, Fraction, Fraction] = (0.95, 0.05, 0.0)
    side: Annotated[int, Field(ge=32, le=1024)] = 128
    most_items: Annotated[int, Field(ge=1, le=50)] = 6
    train_scenes: Positive = 16_000
    test_scenes: Positive = 2_000
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0

    def input_shape(self) -> tuple[int, ...]:
        return (self.side, self.side, 1)


def facts(settings: Settings) -> Facts:
    """Known from the settings."""
    return Facts(_counts(settings), len(fashion_mnist.CLASSES))


def source(settings: Settings) -> Source:
    """The scenes, composed as they are read: always the same ones for the same settings.

    Raises:
        StepError: Fashion-MNIST is not on this machine.
    """
    items = fashion_mnist.source(fashion_mnist.Settings())
    side = settings.side
    return Source(
        info={
            "classes": items.info["classes"],
            "image_shape": [side, side, 1],
            "encoding": "raw",
            "most_boxes": settings.most_items,
        },
        splits={
            "train": lambda: scenes(items, "train", settings.train_scenes, settings),
            "test": lambda: scenes(items, "test", settings.test_scenes, settings),
        },
        counts=_counts(settings),
        version="1",
        licence=items.licence,
        text=f"scenes composed of items of {items.text}; their boxes are known by construction",
    )


def _counts(settings: Settings) -> dict[str, int]:
    return {"train": settings.train_scenes, "test": settings.test_scenes}


def scenes(items: Source, split: str, count: int, settings: Settings) -> Iterator[Example]:
    """Scenes of the items of one official split."""
    import numpy as np

    drawn = list(items.splits[split]())
    # One stream of random numbers for each split, so that the number of training scenes changes no test scene.
    random = np.random.default_rng([settings.seed, split == "test"])
    order, place = random.permutation(len(drawn)), 0
    for number in range(count):
        wanted = int(random.integers(1, settings.most_items + 1))
        if place + wanted > len(order):
            order, place = random.permutation(len(drawn)), 0
        chosen = [drawn[index] for index in order[place : place + wanted]]
        place += wanted
        image, boxes, labels = composed(chosen, settings.side, random)
        yield {"image": image, "boxes": boxes, "labels": labels, "name": f"{split} scene {number}"}


def composed(
    items: list[Example], side: int, random: "np.random.Generator"
) -> "tuple[np.ndarray, np.ndarray, np.ndarray]":
    """A scene of some items, drawn at random places in random sizes; an item that finds no place is left out.

    Returns:
        The picture uint8 [side, side, 1], the boxes as fractions of its sides float32 [items, 4] (left, top, right,
        bottom: just around an item's pixels that are not zero), and the items' labels int64 [items].
    """
    import numpy as np

    canvas = background(side, random)
    boxes: list[tuple[int, int, int, int]] = []
    labels = []
    # The largest first: it is hardest to find a place for.
    sizes = np.sort(random.uniform(SMALLEST, LARGEST, len(items)))[::-1] * side
    for item, size in zip(items, sizes, strict=True):
        pixels = _scaled(item["image"][..., 0], max(4, round(size)))
        for _ in range(TRIES):
            left = int(random.integers(0, side - pixels.shape[1] + 1))
            top = int(random.integers(0, side - pixels.shape[0] + 1))
            box = (left, top, left + pixels.shape[1], top + pixels.shape[0])
            if all(_covered(box, other) <= MOST_COVERED for other in boxes):
                part = canvas[top : box[3], left : box[2]]
                np.copyto(part, pixels, where=pixels > 0)
                boxes.append(box)
                labels.append(item["label"])
                break
    corners = np.array(boxes, np.float32).reshape(-1, 4) / side
    return canvas[..., None], corners, np.array(labels, np.int64)


def background(side: int, random: "np.random.Generator") -> "np.ndarray":
    """A slope, a few soft blotches and grain, uint8 [side, side], darker than most items."""
    import numpy as np
    from PIL import Image

    down, right = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side), indexing="ij")
    slope = random.uniform(-20, 20) * down + random.uniform(-20, 20) * right
    coarse = random.uniform(-25, 25, (6, 6)).astype(np.float32)
    blotches = np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))
    grain = random.normal(0, random.uniform(2, 10), (side, side))
    levels: np.ndarray = np.clip(random.uniform(30, 90) + slope + blotches + grain, 0, 255).astype(np.uint8)
    return levels


def _scaled(pixels: "np.ndarray", longer: int) -> "np.ndarray":
    """An item cut to its pixels that are not zero, its longer side so many pixels; the result fills its frame."""
    import numpy as np
    from PIL import Image

    cut = _cut(pixels)
    height, width = (max(1, round(side * longer / max(cut.shape))) for side in cut.shape)
    return _cut(np.asarray(Image.fromarray(cut).resize((width, height), Image.Resampling.BILINEAR)))


def _cut(pixels: "np.ndarray") -> "np.ndarray":
    """Without the empty rows and columns about it."""
    import numpy as np

    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    part: np.ndarray = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return part


def _covered(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> float:
    """The part of the smaller box that lies in the other."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return float(max(0, width) * max(0, height) / min(areas))
