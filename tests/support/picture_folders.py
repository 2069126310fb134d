"""Folders of small pictures."""

from pathlib import Path

import numpy as np
from PIL import Image


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
