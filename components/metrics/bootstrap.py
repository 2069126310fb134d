"""Bootstrap resamples of examples, as counts: any statistic that is a sum costs one matrix product.

They give the variance of a metric that is no mean over examples; ``components.metrics.confidence`` makes an interval of
it, since percentiles of resamples cover far less than they say near the ends of a metric's range.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from components.metrics import confidence

# Counts in memory at a time; 8 MB of float32.
MAX_CELLS = 2_000_000


def resample_counts(n: int, resamples: int, seed: int, groups: np.ndarray | None = None) -> Iterator[np.ndarray]:
    """How often each of ``n`` examples is drawn, in blocks of float32 [rows, n], ``resamples`` rows in all.

    Each row sums to n. Equal seeds give equal counts, whatever the size of the blocks. With ``groups``, numbers [n],
    whole groups are drawn, as many as there are.
    """
    if groups is not None:
        names, which = np.unique(groups, return_inverse=True)
        yield from (counts[:, which] for counts in resample_counts(len(names), resamples, seed))
        return
    generator = np.random.default_rng(seed)
    rows = max(1, MAX_CELLS // n)
    for done in range(0, resamples, rows):
        size = min(rows, resamples - done)
        drawn = generator.integers(0, n, size=(size, n))
        drawn += np.arange(size)[:, None] * n
        yield np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(np.float32)


@dataclass(frozen=True)
class Intervals:
    """95% intervals: metric -> lower and upper bound."""

    metrics: dict[str, tuple[float, float]]


def share(value: float, resampled: np.ndarray, n: float) -> tuple[float, float]:
    """The 95% interval of a metric between 0 and 1, by the variance of its resampled values [resamples].

    Args:
        n: the number of examples, or of groups of them.
    """
    return confidence.share(value, float(np.var(resampled[np.isfinite(resampled)])), n)
