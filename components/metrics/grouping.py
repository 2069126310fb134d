"""Groups of examples that are not independent, such as pictures of one patient: part of their keys."""

import numpy as np

# Hexadecimal digits of an example's own key; those of its group follow, if the data have groups.
KEY_DIGITS = 16


def of_keys(keys: np.ndarray) -> np.ndarray | None:
    """A number for the group of each key, int64 [n]; None if the data have no groups.

    Args:
        keys: bytes or texts, [n].
    """
    texts = [key.decode() if isinstance(key, bytes) else str(key) for key in keys.tolist()]
    groups = [text[KEY_DIGITS:] for text in texts if len(text) == 2 * KEY_DIGITS]
    if not texts or len(groups) < len(texts):
        return None
    return np.unique(groups, return_inverse=True)[1]
