"""Fashion-MNIST: 60,000 + 10,000 grey pictures of clothing, 28 x 28, 10 balanced classes (MIT licence)."""

from typing import Literal

from components.core.config import Fraction
from components.data import DataSettings


class Settings(DataSettings):
    """Fashion-MNIST from the system package, else by TensorFlow Datasets. The 10,000 are the official test split."""

    name: Literal["fashion_mnist"] = "fashion_mnist"
    split: tuple[Fraction, Fraction, Fraction] = (0.9, 0.1, 0.0)

    def input_shape(self) -> tuple[int, ...]:
        return (28, 28, 1)
