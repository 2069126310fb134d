"""Slices of the test split by a numeric attribute of the examples."""

from collections.abc import Sequence

import numpy as np


def quarters(attribute: str, values: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Masks of the quarters of examples by their values [n]: "ATTRIBUTE NAME quarter" -> bool [n]. The bounds are the
    quartiles; if all values are equal there are no quarters.

    Args:
        names: of the four quarters, lowest first.
    """
    if values.min() == values.max():
        return {}
    which = np.searchsorted(np.quantile(values, [0.25, 0.5, 0.75]), values, side="left")
    return {f"{attribute} {name} quarter": which == number for number, name in enumerate(names)}
