"""What a report tells about examples, gathered while they stream by, in a memory that does not grow with them."""

import heapq
from types import ModuleType
from typing import Any

import numpy as np

from components.core.examples import Stored

SPLITS = 3
BINS = 40
# Training pictures kept, as many of each class, in the classes' order: those with the smallest keys, so that the choice
# depends on the content alone and adding others moves it little.
KEPT = 500


class Profile:
    """Counts, brightness, and a few pictures of each class.

    Attributes:
        counts: examples, integers [splits, classes]; the splits in the order train, validation, test.
        brightness: how many training examples have a mean brightness in each of BINS equal parts of 0..1.
    """

    def __init__(self, info: dict[str, Any], task: ModuleType) -> None:
        self._info, self._task = info, task
        classes = len(info["classes"])
        self.counts = np.zeros((SPLITS, classes), np.int64)
        self.brightness = np.zeros(BINS, np.int64)
        self._each = max(1, KEPT // classes)
        # For each class a heap of (-key, picture): its first is the largest key kept.
        self._kept: list[list[tuple[int, bytes]]] = [[] for _ in range(min(classes, KEPT))]
        # A key below its class's bound is kept.
        self._bounds = np.zeros(classes, np.uint64)
        self._bounds[: len(self._kept)] = np.iinfo(np.uint64).max

    def see(self, stored: Stored, keys: np.ndarray, which: np.ndarray) -> None:
        """Take note of some examples with their keys and split numbers, each [n]."""
        labels = stored.features["label"]
        np.add.at(self.counts, (which, labels), 1)
        training = which == 0
        values = stored.features["brightness"][training]
        self.brightness += np.bincount(np.minimum(values * BINS, BINS - 1).astype(int), minlength=BINS)
        for place in np.flatnonzero(training & (keys < self._bounds[labels])).tolist():
            self._keep(int(labels[place]), int(keys[place]), bytes(stored.contents[place]))

    def _keep(self, label: int, key: int, image: bytes) -> None:
        kept = self._kept[label]
        if len(kept) < self._each:
            heapq.heappush(kept, (-key, image))
        elif key < -kept[0][0]:
            heapq.heapreplace(kept, (-key, image))
        if len(kept) == self._each:
            self._bounds[label] = -kept[0][0]

    def pictures(self) -> list[list[np.ndarray]]:
        """The pictures kept of each class, uint8 [height, width, channels]."""
        return [
            [self._task.pixels(image, self._info) for _, image in sorted(kept, reverse=True)] for kept in self._kept
        ]
