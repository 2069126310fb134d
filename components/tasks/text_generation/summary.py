"""Summary of texts for the data report: lengths by split and source, and a sample."""

from typing import Any

import numpy as np
from markupsafe import Markup

from components.core import reports
from components.core.examples import Records
from components.tasks._sample import SPLITS, Sample
from components.tasks.contract import Summary
from components.text import texts

SHOWN, SHOWN_CHARACTERS = 3, 400


class CorpusSummary(Summary):
    """Counts and characters by source and split, and a few training texts of each source.

    Attributes:
        sources: their names.
        counts: texts, integers [splits, sources]; characters: of them, the same.
        longest: characters of the longest text.
    """

    def __init__(self, sources: list[str]) -> None:
        self.sources = sources
        self.counts = np.zeros((len(SPLITS), len(sources)), np.int64)
        self.characters = np.zeros_like(self.counts)
        self.longest = 0
        self._sample = Sample(len(sources), SHOWN * len(sources))

    def update(self, records: Records, keys: np.ndarray, splits: np.ndarray) -> None:
        source, characters = np.asarray(records.features["source"]), np.asarray(records.features["characters"])
        np.add.at(self.counts, (splits, source), 1)
        np.add.at(self.characters, (splits, source), characters)
        self.longest = max(self.longest, int(characters.max(initial=0)))
        self._sample.update(records.contents, keys, source, splits == 0)

    def facts(self) -> dict[str, Any]:
        """For the top of the page."""
        return {"characters": int(self.characters.sum()), "longest text, characters": self.longest}

    def sections(self, splits: list[str]) -> list[Markup]:
        """The page's sections."""
        rows: list[list[Any]] = []
        for number, name in enumerate(self.sources):
            columns = [
                (self.counts[split_number, number], self.characters[split_number, number])
                for split_number in map(SPLITS.index, splits)
            ]
            rows.append([name, *(int(value) for pair in columns for value in pair)])
        head = ["source", *(f"{split}, {what}" for split in splits for what in ("texts", "characters"))]
        some = [
            [name, texts.excerpt(content, SHOWN_CHARACTERS)]
            for name, contents in zip(self.sources, self._sample.contents(), strict=True)
            for content in contents
        ]
        return [
            reports.section("Texts by source", reports.table(head, rows)),
            reports.section("A few of them", reports.table(["source", "text"], some, numeric=False)),
        ]
