"""Summary of labelled texts for the data report: classes, sources, lengths, and a sample."""

import numpy as np
from markupsafe import Markup

from components.core import reports
from components.core.examples import Records
from components.tasks._classifier.examples import LabelledSummary
from components.tasks._sample import SPLITS
from components.text import texts

CLASSES_SHOWN, TEXTS_SHOWN, CHARACTERS = 20, 3, 300
# Lengths are counted in powers of two: words of a text, the last bin without an upper end.
BINS = 16


class TextSummary(LabelledSummary):
    """Counts by class and source, lengths, and a few texts of each class.

    Attributes:
        by_source: examples, integers [splits, sources].
        lengths: training texts of 0, 1, 2 to 3, 4 to 7, ... words, integers [BINS].
    """

    def __init__(self, names: list[str], sources: list[str]) -> None:
        super().__init__(names)
        self.sources = sources
        self.by_source = np.zeros((len(SPLITS), len(sources)), np.int64)
        self.lengths = np.zeros(BINS, np.int64)

    def update(self, records: Records, keys: np.ndarray, splits: np.ndarray) -> None:
        super().update(records, keys, splits)
        np.add.at(self.by_source, (splits, np.asarray(records.features["source"])), 1)
        words = np.asarray(records.features["words"])[splits == 0]
        places = np.floor(np.log2(np.maximum(words, 0.5))).astype(int) + 1
        self.lengths += np.bincount(np.minimum(places, BINS - 1), minlength=BINS)

    def sections(self, splits: list[str]) -> list[Markup]:
        """The page's sections."""
        rows = [
            [self.names[label], texts.excerpt(text, CHARACTERS)]
            for label, row in enumerate(self.sample.contents()[:CLASSES_SHOWN])
            for text in row[:TEXTS_SHOWN]
        ]
        columns = [self.by_source[SPLITS.index(split)].tolist() for split in splits]
        sources = [list(row) for row in zip(self.sources, *columns, strict=True)]
        return [
            reports.section("Texts", reports.table(["class", "text"], rows, numeric=False)),
            reports.section("Examples by class and split", self.table(splits)),
            reports.section("Examples by source and split", reports.table(["source", *splits], sources)),
            reports.section("Lengths", reports.table(["words", "training texts"], self._lengths())),
        ]

    def _lengths(self) -> list[list[str | int]]:
        """The bins that hold texts."""
        named: list[str] = ["0", "1", *(f"{2**power} to {2 ** (power + 1) - 1}" for power in range(1, BINS - 2))]
        named.append(f"{2 ** (BINS - 2)} or more")
        return [[name, count] for name, count in zip(named, self.lengths.tolist(), strict=True) if count]
