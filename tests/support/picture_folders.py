"""Folders of small pictures."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

# EXIF's orientation -> how an upright picture is stored (the inverse of how it is shown).
STORED = {
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels),
    7: lambda pixels: np.rot90(pixels, 2).swapaxes(0, 1),
    8: lambda pixels: np.rot90(pixels, -1),
}


def noise(seed: int, height: int = 8, width: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def pictures(root: Path, counts: dict[str, int]) -> Path:
    """Folder -> so many pictures in it, JPEG and PNG in turn."""
    for folder, count in counts.items():
        (root / folder).mkdir(parents=True)
        for number in range(count):
            suffix = "png" if number % 2 else "JPG"
            Image.fromarray(noise(number)).save(root / folder / f"{number}.{suffix}")
    return root


def quarters(height: int = 48, width: int = 80) -> np.ndarray:
    """A picture whose quarters have four colours: red, green above, blue, white below."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2], pixels[: height // 2, width // 2 :] = (230, 30, 30), (30, 230, 30)
    pixels[height // 2 :, : width // 2], pixels[height // 2 :, width // 2 :] = (30, 30, 230), (230, 230, 230)
    return pixels


def saved(pixels: np.ndarray, kind: str, mode: str = "", **options: Any) -> bytes:
    """An array as a file, in one of Pillow's modes."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    stream = io.BytesIO()
    (image.convert(mode) if mode else image).save(stream, kind, **options)
    return stream.getvalue()


def photographed(pixels: np.ndarray, orientation: int, kind: str = "JPEG", **options: Any) -> bytes:
    """An upright picture as a camera stores it that was held another way."""
    tags = Image.Exif()
    tags[0x0112] = orientation
    return saved(STORED[orientation](pixels), kind, exif=tags.tobytes(), **options)
