"""Pictures with boxes drawn on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from components.vision.boxes import NONE

if TYPE_CHECKING:
    from components.metrics.detection import Arrays, Outcome

# Readable on dark and on light pictures, and apart from each other for most readers with a colour deficiency (the
# palette of Okabe and Ito, 2008).
GREEN, ORANGE, YELLOW = (0, 158, 115), (213, 94, 0), (240, 228, 66)
COLOURS = ((86, 180, 233), (230, 159, 0), GREEN, (204, 121, 167), YELLOW, (0, 114, 178), ORANGE)
# A smaller picture is enlarged by a whole number until its longer side has so many pixels: texts would cover it.
LEAST_SIDE = 384
TEXT = 12


@dataclass(frozen=True)
class Box:
    """A box to be drawn: left, top, right, bottom as fractions of the sides, a text, and a colour."""

    edges: tuple[float, float, float, float]
    text: str
    colour: tuple[int, int, int]


def drawn(pixels: np.ndarray, boxes: Sequence[Box], least_side: int = LEAST_SIDE) -> np.ndarray:
    """A picture with boxes, the first on top.

    Args:
        pixels: uint8 [height, width, 1 or 3].

    Returns:
        uint8 [height, width, 3], perhaps larger.
    """
    from PIL import Image, ImageDraw, ImageFont

    grey = pixels.shape[-1] == 1
    picture = Image.fromarray(pixels[..., 0] if grey else pixels).convert("RGB")
    scale = max(1, -(-least_side // max(picture.size)))
    width, height = picture.width * scale, picture.height * scale
    picture = picture.resize((width, height), Image.Resampling.NEAREST)
    drawing = ImageDraw.Draw(picture)
    font = ImageFont.load_default(TEXT)
    for box in reversed(boxes):
        left, right = (min(max(edge, 0.0), 1.0) * (width - 1) for edge in (box.edges[0], box.edges[2]))
        top, bottom = (min(max(edge, 0.0), 1.0) * (height - 1) for edge in (box.edges[1], box.edges[3]))
        drawing.rectangle((left, top, max(left, right), max(top, bottom)), outline=box.colour, width=2)
        if box.text:
            _label(drawing, font, box, left, top, width)
    return np.asarray(picture)


def _label(drawing: "object", font: "object", box: Box, left: float, top: float, width: int) -> None:
    """The text above the box, or inside where there is no room above."""
    from PIL import ImageDraw, ImageFont

    assert isinstance(drawing, ImageDraw.ImageDraw)
    assert isinstance(font, ImageFont.FreeTypeFont | ImageFont.ImageFont)
    room = drawing.textlength(box.text, font)
    x, y = min(left, max(0.0, width - room - 4)), top - TEXT - 4
    y = y if y >= 0 else top
    drawing.rectangle((x, y, x + room + 4, y + TEXT + 4), fill=box.colour)
    dark = sum(box.colour) > 330
    drawing.text((x + 2, y + 1), box.text, fill=(0, 0, 0) if dark else (255, 255, 255), font=font)


def judged(number: int, found: "Arrays", truth: "Arrays", outcome: "Outcome", names: Sequence[str]) -> list[Box]:
    """The boxes of one picture of a detector's answers: green where it is right, orange where it is wrong, and yellow
    what it missed."""
    boxes = [
        _box(
            found["boxes"][number, place],
            f"{names[found['labels'][number, place]]} {found['scores'][number, place]:.2f}",
            GREEN if outcome.is_right[number, place] else ORANGE,
        )
        for place in np.flatnonzero(outcome.sure[number]).tolist()
    ]
    missed = np.flatnonzero(outcome.is_missed[number]).tolist()
    return boxes + [
        _box(truth["boxes"][number, place], f"missed: {names[truth['labels'][number, place]]}", YELLOW)
        for place in missed
    ]


def labelled(boxes: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> list[Box]:
    """Objects [n, 4] with their labels [n], a colour for each class; padding is left out."""
    return [
        _box(box, names[label], COLOURS[label % len(COLOURS)])
        for box, label in zip(boxes, labels.tolist(), strict=True)
        if label != NONE
    ]


def _box(edges: np.ndarray, text: str, colour: tuple[int, int, int]) -> Box:
    left, top, right, bottom = edges.tolist()
    return Box((left, top, right, bottom), text, colour)
