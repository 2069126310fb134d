"""What the summaries of labelled examples share."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from markupsafe import Markup

from components.core.examples import Records
from components.tasks._sample import SPLITS, Sample, by_class, rare
from components.tasks.contract import Summary


class LabelledSummary(Summary):
    """Counts by class and split, and a sample of each class's training examples.

    Attributes:
        names: of the classes.
        counts: examples, integers [splits, classes].
        sample: contents of training examples by class.
    """

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.counts = np.zeros((len(SPLITS), len(names)), np.int64)
        self.sample = Sample(len(names))

    def update(self, records: Records, keys: np.ndarray, splits: np.ndarray) -> None:
        labels = np.asarray(records.features["label"])
        np.add.at(self.counts, (splits, labels), 1)
        self.sample.update(records.contents, keys, labels, splits == 0)

    def facts(self) -> dict[str, Any]:
        return {"classes": len(self.names)}

    def info(self) -> dict[str, Any]:
        return {"class_counts": self.counts[0].tolist()}

    def notes(self) -> Iterator[Markup]:
        return rare(self.names, self.counts[0], "examples")

    def table(self, splits: list[str]) -> Markup:
        """Examples by class and split."""
        return by_class(self.names, self.counts, splits)
