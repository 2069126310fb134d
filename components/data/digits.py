"""Digits: scikit-learn's 1,797 handwritten digits, grey images of 8 x 8 pixels."""

from collections.abc import Iterator
from typing import Literal

from components.core.config import Fraction
from components.data import DataSettings, Example, Facts, Source


class Settings(DataSettings):
    """The digits of scikit-learn, without an official test split."""

    name: Literal["digits"] = "digits"
    task: str = "image_classification"
    split: tuple[Fraction, Fraction, Fraction] = (0.7, 0.1, 0.2)

    def input_shape(self) -> tuple[int, ...]:
        return (8, 8, 1)


def facts(settings: Settings) -> Facts:
    return Facts({"train": 1797}, 10)


def source(settings: Settings) -> Source:
    """The digits, their 17 levels of grey scaled to 0..240."""
    import numpy as np
    from sklearn.datasets import load_digits

    def train() -> Iterator[Example]:
        data = load_digits()
        images = (data.images[..., None] * 15).astype(np.uint8)
        for image, label in zip(images, data.target.tolist(), strict=True):
            yield {"image": image, "label": label}

    return Source(
        info={"classes": [str(digit) for digit in range(10)], "image_shape": [8, 8, 1], "encoding": "raw"},
        splits={"train": train},
        counts={"train": 1797},
        version="1",
        licence="CC BY 4.0",
        text="Optical recognition of handwritten digits (Alpaydin and Kaynak, 1998), as scikit-learn ships it",
    )
