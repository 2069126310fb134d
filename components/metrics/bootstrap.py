"""Bootstrap resamples of examples, as counts: any statistic that is a sum costs one matrix product."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

# Counts in memory at a time; 8 MB of float32.
MAX_CELLS = 2_000_000


def resample_counts(n: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each of ``n`` examples is drawn, in blocks of float32 [rows, n], ``resamples`` rows in all.

    Each row sums to n. Equal seeds give equal counts, whatever the size of the blocks.
    """
    generator = np.random.default_rng(seed)
    rows = max(1, MAX_CELLS // n)
    for done in range(0, resamples, rows):
        size = min(rows, resamples - done)
        drawn = generator.integers(0, n, size=(size, n))
        drawn += np.arange(size)[:, None] * n
        yield np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(np.float32)


@dataclass(frozen=True)
class Intervals:
    """95% bootstrap intervals: metric -> lower and upper bound."""

    metrics: dict[str, tuple[float, float]]


def interval(resampled: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The percentile interval of resampled values [resamples], without those that are not finite."""
    finite = resampled[np.isfinite(resampled)]
    if not finite.size:
        return float("nan"), float("nan")
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
