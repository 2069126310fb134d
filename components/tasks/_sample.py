"""What summaries of examples share: a sample of their contents, and tables by class."""

import heapq
from collections.abc import Iterator
from typing import Any

import numpy as np
from markupsafe import Markup

from components.core import charts, reports

SPLITS = ("train", "validation", "test")
# Training examples in a sample, as many of each class.
SAMPLED = 500
# A class with less than this share of an even distribution is named.
RARE = 0.1


class Sample:
    """A sample of the contents of each group: those with the smallest keys. It depends on the contents alone, changes
    little when others are added, and its memory does not grow with the examples."""

    def __init__(self, groups: int, most: int = SAMPLED) -> None:
        """A sample of ``groups`` groups, at most ``most`` contents in all."""
        self._each = max(1, most // groups)
        # A heap of (-key, content) for each group: its first item has the largest key.
        self._heaps: list[list[tuple[int, bytes]]] = [[] for _ in range(min(groups, most))]
        # A key below its group's bound is taken.
        self._bounds = np.zeros(groups, np.uint64)
        self._bounds[: len(self._heaps)] = np.iinfo(np.uint64).max

    def update(self, contents: Any, keys: np.ndarray, groups: np.ndarray, wanted: np.ndarray) -> None:
        """Add the wanted (bool [n]) among some contents, with their keys and groups, each [n]."""
        for position in np.flatnonzero(wanted & (keys < self._bounds[groups])).tolist():
            self._add(int(groups[position]), int(keys[position]), bytes(contents[position]))

    def _add(self, group: int, key: int, content: bytes) -> None:
        heap = self._heaps[group]
        if len(heap) < self._each:
            heapq.heappush(heap, (-key, content))
        elif key < -heap[0][0]:
            heapq.heapreplace(heap, (-key, content))
        if len(heap) == self._each:
            self._bounds[group] = -heap[0][0]

    def contents(self) -> list[list[bytes]]:
        """The sampled contents of each group, the smallest key first."""
        return [[content for _, content in sorted(heap, reverse=True)] for heap in self._heaps]


def rare(names: list[str], trained: np.ndarray, what: str) -> Iterator[Markup]:
    """A note that names the classes which train has few of, if any.

    Args:
        trained: how many of each class train has, integers [classes].
        what: what is counted, such as examples.
    """
    few = np.array(names)[trained < RARE * trained.mean()].tolist()
    if few and trained.any():
        yield reports.note(f"Few or no training {what} of: {', '.join(few[:20])}.", "warning")


def by_class(names: list[str], counts: np.ndarray, splits: list[str]) -> Markup:
    """A table of counts, integers [SPLITS, classes], and of their sums."""
    columns = [counts[SPLITS.index(split)].tolist() for split in splits]
    largest = max(columns[0], default=0)
    bars = [charts.bar(count, largest) for count in columns[0]]
    rows = [list(row) for row in zip(names, *columns, bars, strict=True)]
    return reports.table(["class", *splits, reports.Chart(Markup(splits[0]))], [*rows, ["all", *map(sum, columns), ""]])
