"""Summary of sentence pairs for the data report: number, lengths, and a sample."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from components.core import reports
from components.core.examples import Records
from components.tasks._sample import SPLITS, Sample
from components.tasks.contract import Summary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 20
# Lengths in bytes are counted up to here, longer ones together.
MOST = 2000
# Sides this many times as long as each other, of at least so many bytes, seldom say the same.
RATIO, LEAST = 5, 50


class PairSummary(Summary):
    """Counts and lengths, and a few training pairs, in memory that does not grow with the examples.

    Attributes:
        lengths: how many sentences have so many bytes, integers [splits, 2 sides, MOST + 1].
    """

    def __init__(self, languages: list[str]) -> None:
        self.languages = languages
        self.lengths = np.zeros((len(SPLITS), 2, MOST + 1), np.int64)
        self.uneven = 0
        self._sample = Sample(1, SHOWN)

    def update(self, records: Records, keys: np.ndarray, splits: Any) -> None:
        sides = (list(records.contents), list(records.features["target"]))
        sizes = np.array([[len(text) for text in side] for side in sides], np.int64).reshape(2, -1)
        for side in range(2):
            np.add.at(self.lengths, (splits, side, np.minimum(sizes[side], MOST)), 1)
        self.uneven += int(((sizes.max(axis=0) >= LEAST) & (sizes.max(axis=0) > RATIO * sizes.min(axis=0))).sum())
        # No sentence has a zero byte, so one can stand between the two.
        pairs = [b"\0".join(pair) for pair in zip(*sides, strict=True)]
        self._sample.update(pairs, keys, np.zeros(len(keys), np.int64), splits == 0)

    def facts(self) -> dict[str, Any]:
        """For the top of the page."""
        return {"from": self.languages[0], "to": self.languages[1]}

    def notes(self) -> Iterator[Markup]:
        if self.uneven:
            warning = f"Of {self.uneven:,} pairs one side is over {RATIO} times as long as the other: translations?"
            yield reports.note(warning, "warning")

    def sections(self, splits: list[str]) -> list[Markup]:
        """The page's sections."""
        pairs = [pair.split(b"\0") for row in self._sample.contents() for pair in row]
        shown = [[text.decode() for text in pair] for pair in pairs]
        rows = [row for split in splits for row in self._rows(split)]
        head = ["split", "side", "sentences", "shortest", "median", "95 of 100", "longest"]
        caption = f"Lengths in bytes; {MOST:,} stands for anything longer, too."
        return [
            reports.section("Training pairs", reports.table(self.languages, shown, numeric=False)),
            reports.section(
                "Lengths", reports.table(head, rows, caption=caption), reports.figure(self._drawing(), "lengths")
            ),
        ]

    def _rows(self, split: str) -> Iterator[list[Any]]:
        for side, language in enumerate(self.languages):
            counts = self.lengths[SPLITS.index(split), side]
            total = counts.cumsum()
            ends = [int(np.searchsorted(total, share * total[-1])) for share in (0.5, 0.95)]
            present = np.flatnonzero(counts)
            yield [split, language, int(total[-1]), int(present[0]), *ends, int(present[-1])]

    def _drawing(self) -> "Figure":
        from matplotlib.figure import Figure

        drawing = Figure(figsize=(6, 2.4))
        axes = drawing.add_subplot()
        longest = int(np.flatnonzero(self.lengths[0].sum(axis=0))[-1])
        edges = np.linspace(0, longest + 1, min(longest + 1, 60) + 1)
        for side, (language, colour) in enumerate(zip(self.languages, ("#3b6ea5", "#c26a1c"), strict=True)):
            values = self.lengths[0, side, : longest + 1]
            heights, _ = np.histogram(np.arange(longest + 1), edges, weights=values)
            axes.stairs(heights, edges, color=colour, fill=True, alpha=0.6, label=language)
        axes.set(xlabel="bytes of a training sentence", ylabel="sentences")
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
        return drawing
