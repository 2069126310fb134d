"""Bootstrap resamples of examples, as counts, so that every statistic that is a sum costs one matrix product."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

# Counts held at a time; 8 MB of float32.
CELLS = 2_000_000


def counts(n: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each of ``n`` examples is drawn, float32 [rows, n], each row summing to n; ``resamples`` rows in all.

    The same seed draws the same examples, whatever is computed from them.
    """
    generator = np.random.default_rng(seed)
    rows = max(1, CELLS // n)
    for done in range(0, resamples, rows):
        size = min(rows, resamples - done)
        drawn = generator.integers(0, n, size=(size, n))
        drawn += np.arange(size)[:, None] * n
        yield np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(np.float32)


@dataclass(frozen=True)
class Intervals:
    """95% bootstrap intervals: metric -> low and high end."""

    metrics: dict[str, tuple[float, float]]


def interval(resampled: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The percentile interval of resampled values [resamples]; values that are not numbers are left out."""
    known = resampled[np.isfinite(resampled)]
    if not known.size:
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
