"""What prepare's report tells about examples that have one label each, gathered while they stream by."""

import heapq
from collections.abc import Iterator
from typing import Any

import numpy as np
from markupsafe import Markup

from components.core import reports
from components.core.examples import Stored

SPLITS = ("train", "validation", "test")
# Training examples kept, as many of each class, in the classes' order.
KEPT = 500
# A class with less than this share of an even distribution is named.
RARE = 0.1


class Sample:
    """Contents of a few examples of each group, those with the smallest keys: the choice depends on the content alone,
    adding others moves it little, and memory does not grow with the examples."""

    def __init__(self, groups: int, most: int = KEPT) -> None:
        """For ``groups`` groups, and ``most`` contents at most in all."""
        self._each = max(1, most // groups)
        # For each group a heap of (-key, content): its first is the largest key kept.
        self._kept: list[list[tuple[int, bytes]]] = [[] for _ in range(min(groups, most))]
        # A key below its group's bound is kept.
        self._bounds = np.zeros(groups, np.uint64)
        self._bounds[: len(self._kept)] = np.iinfo(np.uint64).max

    def see(self, contents: Any, keys: np.ndarray, groups: np.ndarray, wanted: np.ndarray) -> None:
        """Take note of the wanted (bool [n]) among some contents, with their keys and groups, each [n]."""
        for place in np.flatnonzero(wanted & (keys < self._bounds[groups])).tolist():
            self._keep(int(groups[place]), int(keys[place]), bytes(contents[place]))

    def _keep(self, group: int, key: int, content: bytes) -> None:
        kept = self._kept[group]
        if len(kept) < self._each:
            heapq.heappush(kept, (-key, content))
        elif key < -kept[0][0]:
            heapq.heapreplace(kept, (-key, content))
        if len(kept) == self._each:
            self._bounds[group] = -kept[0][0]

    def contents(self) -> list[list[bytes]]:
        """What was kept of each group, the smallest key first."""
        return [[content for _, content in sorted(kept, reverse=True)] for kept in self._kept]


class Labelled:
    """Counts by class and split, and contents of a few training examples of each class.

    Attributes:
        names: of the classes.
        counts: examples, integers [splits, classes].
        kept: contents of training examples by class.
    """

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.counts = np.zeros((len(SPLITS), len(names)), np.int64)
        self.kept = Sample(len(names))

    def see(self, stored: Stored, keys: np.ndarray, which: np.ndarray) -> None:
        """Take note of some examples with their keys and split numbers, each [n]."""
        labels = np.asarray(stored.features["label"])
        np.add.at(self.counts, (which, labels), 1)
        self.kept.see(stored.contents, keys, labels, which == 0)

    def facts(self) -> dict[str, Any]:
        """For the top of the page."""
        return {"classes": len(self.names)}

    def notes(self) -> Iterator[Markup]:
        """What deserves a warning."""
        yield from rare(self.names, self.counts[0], "examples")

    def table(self, splits: list[str]) -> Markup:
        """Examples by class and split."""
        return by_class(self.names, self.counts, splits)


def rare(names: list[str], trained: np.ndarray, what: str) -> Iterator[Markup]:
    """A note that names the classes of which train has little, if there are such.

    Args:
        trained: how many of each class train has, integers [classes].
        what: they are, such as examples.
    """
    few = np.array(names)[trained < RARE * trained.mean()].tolist()
    if few and trained.any():
        yield reports.note(f"Few or no training {what} of: {', '.join(few[:20])}.", "warning")


def by_class(names: list[str], counts: np.ndarray, splits: list[str]) -> Markup:
    """A table of counts, integers [SPLITS, classes], and of their sums."""
    columns = [counts[SPLITS.index(split)].tolist() for split in splits]
    rows = [list(row) for row in zip(names, *columns, strict=True)]
    return reports.table(["class", *splits], [["all", *map(sum, columns)], *rows])
