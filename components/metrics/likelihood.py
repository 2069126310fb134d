"""How likely the outputs of a network make what is true."""

import numpy as np


def nats(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """-ln of the probability that logits give to labels, of the logits' type [...].

    Args:
        logits: [..., labels there are].
        labels: integers [...].
    """
    top = logits.max(axis=-1)
    own = np.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]
    found: np.ndarray = np.log(np.exp(logits - top[..., None]).sum(axis=-1)) + top - own
    return found
