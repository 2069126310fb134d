"""Metrics of translations: chrF and BLEU by sacrebleu, of a corpus and of bootstrap resamples of it."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from components.metrics import bootstrap


class Scores:
    """Scores of hypotheses with one reference each.

    chrF is chrF2 (M. Popović, WMT 2015) and BLEU uses sacrebleu's tokenizer 13a (M. Post, WMT 2018), both from 0 to
    100. The counts of a corpus are sums over its sentences, so a resample of sentences costs one matrix product.
    """

    def __init__(self, hypotheses: Sequence[bytes], references: Sequence[bytes]) -> None:
        # A hypothesis may be cut within a character: bytes that are not UTF-8 count as wrong characters.
        self.hypotheses = [text.decode(errors="replace") for text in hypotheses]
        self.references = [text.decode(errors="replace") for text in references]

    @cached_property
    def exact(self) -> np.ndarray:
        """1 if a hypothesis equals its reference, else 0, float64 [n]."""
        pairs = zip(self.hypotheses, self.references, strict=True)
        return np.array([hypothesis.strip() == reference.strip() for hypothesis, reference in pairs], np.float64)

    @cached_property
    def sentence_chrf(self) -> np.ndarray:
        """chrF of each sentence, float64 [n], from 0 to 1."""
        metric, counts = self._counts["chrf"]
        return np.array([metric._compute_score_from_stats(row).score / 100 for row in counts.tolist()])

    def corpus(self, name: str) -> float:
        """``chrf`` or ``bleu`` of all sentences, 0 to 100."""
        metric, counts = self._counts[name]
        return float(metric._compute_score_from_stats(counts.sum(axis=0).tolist()).score)

    def intervals(
        self, sums: Mapping[str, np.ndarray], tokens: np.ndarray, resamples: int, seed: int
    ) -> dict[str, tuple[float, float]]:
        """95% percentile bootstrap intervals of exact_match, sentence_chrf, chrf and bleu, and of means over tokens.

        Args:
            sums: metric -> sum over each sentence's tokens, [n].
            tokens: tokens of each sentence, [n].
        """
        drawn: dict[str, list[np.ndarray]] = {}
        columns = np.stack([self.exact, self.sentence_chrf, *sums.values(), tokens], axis=1).astype(np.float64)
        for counts in bootstrap.resample_counts(len(columns), resamples, seed):
            wide = counts.astype(np.float64)
            totals = wide @ columns
            for column, name in enumerate(("exact_match", "sentence_chrf")):
                drawn.setdefault(name, []).append(totals[:, column] / len(columns))
            for column, name in enumerate(sums, 2):
                drawn.setdefault(name, []).append(totals[:, column] / np.maximum(totals[:, -1], 1))
            for name, (metric, own) in self._counts.items():
                rows = np.rint(wide @ own).astype(np.int64).tolist()
                scores = np.array([metric._compute_score_from_stats(row).score for row in rows])
                drawn.setdefault(name, []).append(scores)
        return {name: bootstrap.interval(np.concatenate(parts)) for name, parts in drawn.items()}

    @cached_property
    def _counts(self) -> dict[str, tuple[Any, np.ndarray]]:
        """chrf and bleu -> the metric, and its counts for each sentence, int64 [n, counts].

        ``corpus_score`` and sacrebleu's own bootstrap use the same two methods.
        """
        from sacrebleu.metrics import BLEU, CHRF

        result = {}
        for name, metric in (("chrf", CHRF()), ("bleu", BLEU())):
            counts = metric._extract_corpus_statistics(self.hypotheses, [self.references])
            result[name] = (metric, np.array(counts, np.int64))
        return result
