"""What prepare's report tells about texts: their lengths by split and source, and a few of them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from markupsafe import Markup

from components.core import reports
from components.core.examples import Stored
from components.tasks._classifier.samples import SPLITS, Sample
from components.text import texts

SHOWN, SHOWN_CHARACTERS = 3, 400


class Corpus:
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
        self._kept = Sample(len(sources), SHOWN * len(sources))

    def see(self, stored: Stored, keys: np.ndarray, which: np.ndarray) -> None:
        """Take note of some texts with their keys and split numbers, each [n]."""
        source, characters = np.asarray(stored.features["source"]), np.asarray(stored.features["characters"])
        np.add.at(self.counts, (which, source), 1)
        np.add.at(self.characters, (which, source), characters)
        self.longest = max(self.longest, int(characters.max(initial=0)))
        self._kept.see(stored.contents, keys, source, which == 0)

    def facts(self) -> dict[str, Any]:
        """For the top of the page."""
        return {"characters": int(self.characters.sum()), "longest text, characters": self.longest}

    def notes(self) -> Iterator[Markup]:
        """What deserves a warning: nothing."""
        return iter(())

    def sections(self, splits: list[str]) -> list[Markup]:
        """The page's sections."""
        rows: list[list[Any]] = []
        for number, name in enumerate(self.sources):
            columns = [
                (self.counts[place, number], self.characters[place, number]) for place in map(SPLITS.index, splits)
            ]
            rows.append([name, *(int(value) for pair in columns for value in pair)])
        head = ["source", *(f"{split}, {what}" for split in splits for what in ("texts", "characters"))]
        some = [
            [name, texts.excerpt(content, SHOWN_CHARACTERS)]
            for name, contents in zip(self.sources, self._kept.contents(), strict=True)
            for content in contents
        ]
        return [
            reports.section("Texts by source", reports.table(head, rows)),
            reports.section("A few of them", reports.table(["source", "text"], some, numeric=False)),
        ]
