"""Likelihood of labels under a network's outputs."""

import numpy as np


def nll(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Negative log-likelihood of labels under logits, in nats, of the logits' type [...].

    Args:
        logits: [..., classes].
        labels: integers [...].
    """
    top = logits.max(axis=-1)
    own = np.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]
    nats: np.ndarray = np.log(np.exp(logits - top[..., None]).sum(axis=-1)) + top - own
    return nats
