"""Digits: scikit-learn's 1,797 handwritten digits, grey pictures of 8 x 8."""

from typing import Literal

from components.core.config import Fraction
from components.data import DataSettings


class Settings(DataSettings):
    """The digits that scikit-learn ships; it has no official test split."""

    name: Literal["digits"] = "digits"
    split: tuple[Fraction, Fraction, Fraction] = (0.7, 0.1, 0.2)

    def input_shape(self) -> tuple[int, ...]:
        return (8, 8, 1)
