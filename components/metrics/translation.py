"""Metrics of translations: chrF and BLEU by sacrebleu, of a corpus and of bootstrap resamples of it."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from components.metrics import bootstrap, confidence


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

    def intervals(self, resamples: int, seed: int, groups: np.ndarray | None = None) -> dict[str, tuple[float, float]]:
        """95% intervals of exact_match and sentence_chrf, and of chrf and bleu by a bootstrap of sentences.

        Args:
            groups: numbers of groups whose sentences are not independent, [n].
        """
        result = {
            "exact_match": confidence.mean(self.exact, bounded=True, groups=groups),
            "sentence_chrf": confidence.mean(self.sentence_chrf, bounded=True, groups=groups),
        }
        size = len(self.exact) if groups is None else len(np.unique(groups))
        for name, (metric, own) in self._counts.items():
            scores = [
                metric._compute_score_from_stats(row).score / 100
                for counts in bootstrap.resample_counts(len(self.exact), resamples, seed, groups)
                for row in np.rint(counts.astype(np.float64) @ own).astype(np.int64).tolist()
            ]
            low, high = bootstrap.share(self.corpus(name) / 100, np.array(scores), size)
            result[name] = 100 * low, 100 * high
        return result

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
