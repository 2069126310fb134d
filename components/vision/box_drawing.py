"""Images with boxes drawn on them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from components.vision.boxes import NONE

# Visible on dark and on light images, and distinct for most readers with a colour deficiency (the palette of Okabe and
# Ito, 2008).
GREEN, ORANGE, YELLOW = (0, 158, 115), (213, 94, 0), (240, 228, 66)
COLOURS = ((86, 180, 233), (230, 159, 0), GREEN, (204, 121, 167), YELLOW, (0, 114, 178), ORANGE)
# A smaller image is enlarged by a whole number until its longer side has this many pixels, or labels would cover it.
MIN_SIDE = 384
FONT_SIZE = 12


@dataclass(frozen=True)
class Box:
    """A box to draw: left, top, right, bottom as fractions of the sides, a label, and a colour."""

    edges: Sequence[float]
    label: str
    colour: tuple[int, int, int]


def draw(pixels: np.ndarray, boxes: Sequence[Box], min_side: int = MIN_SIDE) -> np.ndarray:
    """An image with boxes, the first on top.

    Args:
        pixels: uint8 [height, width, 1 or 3].

    Returns:
        uint8 [height, width, 3], perhaps larger.
    """
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).convert("RGB")
    scale = max(1, -(-min_side // max(image.size)))
    width, height = image.width * scale, image.height * scale
    image = image.resize((width, height), Image.Resampling.NEAREST)
    drawing = ImageDraw.Draw(image)
    font = ImageFont.load_default(FONT_SIZE)
    for box in reversed(boxes):
        left, right = (min(max(edge, 0.0), 1.0) * (width - 1) for edge in (box.edges[0], box.edges[2]))
        top, bottom = (min(max(edge, 0.0), 1.0) * (height - 1) for edge in (box.edges[1], box.edges[3]))
        drawing.rectangle((left, top, max(left, right), max(top, bottom)), outline=box.colour, width=2)
        if box.label:
            _label(drawing, font, box, left, top, width)
    return np.asarray(image)


def _label(
    drawing: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    box: Box,
    left: float,
    top: float,
    width: int,
) -> None:
    """Draw the label above the box, or inside if there is no room above."""
    length = drawing.textlength(box.label, font)
    x, y = min(left, max(0.0, width - length - 4)), top - FONT_SIZE - 4
    y = y if y >= 0 else top
    drawing.rectangle((x, y, x + length + 4, y + FONT_SIZE + 4), fill=box.colour)
    text_colour = (0, 0, 0) if sum(box.colour) > 330 else (255, 255, 255)
    drawing.text((x + 2, y + 1), box.label, fill=text_colour, font=font)


def labelled_boxes(boxes: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> list[Box]:
    """Objects [n, 4] with their labels [n], one colour per class, without padding."""
    return [
        Box(edges, names[label], COLOURS[label % len(COLOURS)])
        for edges, label in zip(boxes.tolist(), labels.tolist(), strict=True)
        if label != NONE
    ]
