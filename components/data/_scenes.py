"""Items pasted on a canvas."""

from collections.abc import Iterator

import numpy as np
from PIL import Image

from components.data import Example, Source

# An item's longer side, as fractions of the canvas's side; the source's images have 28 pixels.
SMALLEST, LARGEST = 0.15, 0.45
# The largest share of the smaller of two boxes that the other may cover.
MAX_COVERED = 0.2
# Positions tried for an item before it is left out.
TRIES = 30


def scenes(items: Source, split: str, count: int, side: int, most_items: int, seed: int) -> Iterator[Example]:
    """Scenes of the items of one official split."""
    pool = list(items.splits[split]())
    # A generator for each split, so that the number of training scenes does not change the test scenes.
    random = np.random.default_rng([seed, split == "test"])
    order, start = random.permutation(len(pool)), 0
    for number in range(count):
        size = int(random.integers(1, most_items + 1))
        if start + size > len(order):
            order, start = random.permutation(len(pool)), 0
        chosen = [pool[index] for index in order[start : start + size]]
        start += size
        image, boxes, labels = compose(chosen, side, random)
        yield {"image": image, "boxes": boxes, "labels": labels, "name": f"{split} scene {number}"}


def compose(items: list[Example], side: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A scene of items at random positions and sizes; an item for which there is no room is left out.

    Returns:
        The image, uint8 [side, side, 1], the boxes as fractions of its sides, float32 [items, 4] (left, top, right,
        bottom, the bounds of an item's pixels that are not zero), and the items' labels, int64 [items].
    """
    canvas = background(side, random)
    boxes: list[tuple[int, int, int, int]] = []
    labels = []
    # The largest first: it needs the most room.
    sizes = np.sort(random.uniform(SMALLEST, LARGEST, len(items)))[::-1] * side
    for item, size in zip(items, sizes, strict=True):
        pixels = _scaled(item["image"][..., 0], max(4, round(size)))
        for _ in range(TRIES):
            left = int(random.integers(0, side - pixels.shape[1] + 1))
            top = int(random.integers(0, side - pixels.shape[0] + 1))
            box = (left, top, left + pixels.shape[1], top + pixels.shape[0])
            if all(_covered(box, other) <= MAX_COVERED for other in boxes):
                part = canvas[top : box[3], left : box[2]]
                np.copyto(part, pixels, where=pixels > 0)
                boxes.append(box)
                labels.append(item["label"])
                break
    corners = np.array(boxes, np.float32).reshape(-1, 4) / side
    return canvas[..., None], corners, np.array(labels, np.int64)


def background(side: int, random: np.random.Generator) -> np.ndarray:
    """A gradient, a few soft blotches and noise, uint8 [side, side], darker than most items."""
    down, right = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side), indexing="ij")
    slope = random.uniform(-20, 20) * down + random.uniform(-20, 20) * right
    coarse = random.uniform(-25, 25, (6, 6)).astype(np.float32)
    blotches = np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))
    grain = random.normal(0, random.uniform(2, 10), (side, side))
    levels: np.ndarray = np.clip(random.uniform(30, 90) + slope + blotches + grain, 0, 255).astype(np.uint8)
    return levels


def _scaled(pixels: np.ndarray, longer: int) -> np.ndarray:
    """An item cropped to its pixels that are not zero, with ``longer`` pixels along its longer side."""
    crop = _crop(pixels)
    height, width = (max(1, round(side * longer / max(crop.shape))) for side in crop.shape)
    return _crop(np.asarray(Image.fromarray(crop).resize((width, height), Image.Resampling.BILINEAR)))


def _crop(pixels: np.ndarray) -> np.ndarray:
    """An image without the empty rows and columns at its edges."""
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    part: np.ndarray = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return part


def _covered(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> float:
    """The share of the smaller box that the other covers."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return float(max(0, width) * max(0, height) / min(areas))
