"""What a report tells about examples, gathered while they stream by, in a memory that does not grow with them."""

import heapq
from types import ModuleType
from typing import Any

import numpy as np

SPLITS = 3
BINS = 32
# Pictures kept for the report: those with the smallest keys, so the choice depends on the content alone.
CLASSES_SHOWN, PER_CLASS = 20, 8


class Profile:
    """Counts, brightness, and a few pictures of each class.

    Attributes:
        counts: examples, integers [splits, classes]; the splits in the order train, validation, test.
        brightness: how many training examples have a mean brightness in each of BINS equal parts of 0..1.
    """

    def __init__(self, info: dict[str, Any], task: ModuleType) -> None:
        self.info, self.task = info, task
        classes = len(info["classes"])
        self.counts = np.zeros((SPLITS, classes), np.int64)
        self.brightness = np.zeros(BINS, np.int64)
        shown = min(classes, CLASSES_SHOWN)
        # For each class a heap of (-key, picture): its first is the largest key kept.
        self._kept: list[list[tuple[int, bytes]]] = [[] for _ in range(shown)]
        self._largest = np.full(classes, -1, np.float64)
        self._largest[:shown] = np.inf

    def see(
        self, examples: list[tuple[bytes, dict[str, Any]]], keys: np.ndarray, which: np.ndarray, labels: np.ndarray
    ) -> None:
        """Take note of some examples with their keys, split numbers and labels, each [n]."""
        np.add.at(self.counts, (which, labels), 1)
        training = which == 0
        values = np.array([features["brightness"] for _, features in examples])[training]
        self.brightness += np.bincount(np.minimum(values * BINS, BINS - 1).astype(int), minlength=BINS)
        for place in np.flatnonzero(training & (keys < self._largest[labels])):
            self._keep(int(labels[place]), int(keys[place]), examples[place][0])

    def _keep(self, label: int, key: int, image: bytes) -> None:
        kept = self._kept[label]
        if len(kept) < PER_CLASS:
            heapq.heappush(kept, (-key, image))
        elif key < -kept[0][0]:
            heapq.heapreplace(kept, (-key, image))
        if len(kept) == PER_CLASS:
            self._largest[label] = -kept[0][0]

    def pictures(self) -> list[list[np.ndarray]]:
        """The pictures kept of each of the first classes, uint8 [height, width, channels]."""
        return [[self.task.pixels(image, self.info) for _, image in sorted(kept, reverse=True)] for kept in self._kept]
