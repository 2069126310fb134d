"""Slices of the test split by a number that each example has."""

from collections.abc import Sequence

import numpy as np


def quarters(what: str, values: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
    """The quarters of some examples by a number of each, [n]: "WHAT NAME quarter" -> bool [n]. The bounds are their own
    quartiles; where all are alike there are no quarters.

    Args:
        names: of the four quarters, the lowest first.
    """
    if values.min() == values.max():
        return {}
    which = np.searchsorted(np.quantile(values, [0.25, 0.5, 0.75]), values, side="left")
    return {f"{what} {name} quarter": which == number for number, name in enumerate(names)}
