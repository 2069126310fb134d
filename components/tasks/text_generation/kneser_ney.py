"""An n-gram language model with interpolated Kneser-Ney smoothing, counted by sorting packed n-grams.

Kneser and Ney (ICASSP 1995); the interpolated form is that of Chen and Goodman (1998), 4.1.6: the longest n-grams count
how often they occur, the shorter ones after how many different tokens they do.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

# So many n-grams are sorted at once: 32 MB of them.
CHUNK = 2**22
# The part of the probability of a token without any context that all tokens share alike, so that one that was never
# seen is not impossible. It costs the others 0.00014 bits where there is no context at all, and less where there is.
UNIFORM = 1e-4


@dataclass(frozen=True)
class Level:
    """The n-grams of one length.

    Attributes:
        grams: packed, sorted; counts: of each.
        contexts: packed, sorted: the n-grams without their last token; totals: of their counts; kinds: how many
            different tokens follow each.
        discount: what every count is lowered by.
    """

    grams: np.ndarray
    counts: np.ndarray
    contexts: np.ndarray
    totals: np.ndarray
    kinds: np.ndarray
    discount: float


@dataclass(frozen=True)
class KneserNey:
    """A counted model.

    Attributes:
        order: tokens of the longest n-grams.
        tokens: how many different tokens there are; the number after the last one stands for what is before the first.
        unigrams: float64 [tokens], the probability of each without a context.
        levels: of n-grams of 2, 3, ... ``order`` tokens.
    """

    order: int
    tokens: int
    unigrams: np.ndarray
    levels: tuple[Level, ...]

    def probabilities(self, sequences: Iterable[np.ndarray]) -> np.ndarray:
        """The probability of each token of some sequences after those before it, float64 [all tokens]."""
        grams = _packed(sequences, self.order, self.tokens)
        bits = _bits(self.tokens)
        result = self.unigrams[(grams & np.uint64((1 << bits) - 1)).astype(np.intp)]
        for length, level in enumerate(self.levels, 2):
            gram = grams & np.uint64((1 << bits * length) - 1)
            position, known = _places(level.contexts, gram >> np.uint64(bits))
            total, kinds = level.totals[position], level.kinds[position]
            at, seen = _places(level.grams, gram)
            count = np.where(seen, level.counts[at], 0)
            longer = (np.maximum(count - level.discount, 0) + level.discount * kinds * result) / total
            result = np.where(known, longer, result)
        return result


def counted(
    sequences: Iterable[np.ndarray],
    order: int,
    tokens: int,
    discount: float | None = None,
    uniform: float = UNIFORM,
) -> KneserNey:
    """Count a text.

    Args:
        sequences: integers of 0 to ``tokens - 1`` each; a sequence's first tokens are counted after ``order - 1`` signs
            of a beginning.
        discount: of all lengths; None estimates each length's, n1 / (n1 + 2 n2), from how many n-grams were seen once
            and twice (Ney, Essen and Kneser, 1994).
        uniform: see UNIFORM.

    Raises:
        ValueError: no tokens, or more than 64 bits for an n-gram.
    """
    bits = _bits(tokens)
    if bits * order > 64:
        raise ValueError(f"{order} tokens of {bits} bits do not fit into 64")
    grams, counts = np.empty(0, np.uint64), np.empty(0, np.int64)
    for waiting in _batches(sequences):
        grams, counts = _merged(grams, counts, np.sort(_packed(waiting, order, tokens)))
    if not len(grams):
        raise ValueError("there is nothing to count")
    levels = []
    for length in range(order, 1, -1):
        levels.append(_level(grams, counts, bits, discount))
        # Each kind of n-gram counts once for what it is without its first token.
        grams, counts = np.unique(grams & np.uint64((1 << bits * (length - 1)) - 1), return_counts=True)
    unigrams = np.zeros(tokens)
    unigrams[grams.astype(np.intp)] = counts
    shared = uniform / tokens + (1 - uniform) * unigrams / unigrams.sum()
    return KneserNey(order, tokens, shared, tuple(reversed(levels)))


def _bits(tokens: int) -> int:
    """Of one token, BOS included."""
    return int(tokens).bit_length()


def _batches(sequences: Iterable[np.ndarray]) -> Iterable[list[np.ndarray]]:
    """Sequences of CHUNK tokens together, or a little more."""
    waiting: list[np.ndarray] = []
    size = 0
    for sequence in sequences:
        waiting.append(sequence)
        size += len(sequence)
        if size >= CHUNK:
            yield waiting
            waiting, size = [], 0
    if waiting:
        yield waiting


def _packed(sequences: Iterable[np.ndarray], order: int, tokens: int) -> np.ndarray:
    """The n-gram that ends at each token, uint64 [all tokens], its last token in the lowest bits."""
    start = np.full(order - 1, tokens, np.uint64)
    parts = [part for sequence in sequences for part in (start, np.asarray(sequence, np.uint64))]
    if not parts:
        return np.empty(0, np.uint64)
    line, bits = np.concatenate(parts), _bits(tokens)
    whole = np.zeros(len(line), np.uint64)
    for back in range(order):
        whole[back:] |= line[: len(line) - back] << np.uint64(bits * back)
    result: np.ndarray = whole[line != tokens]
    return result


def _merged(grams: np.ndarray, counts: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Counted n-grams and sorted new ones, together."""
    first = np.flatnonzero(np.concatenate([[True], new[1:] != new[:-1]])) if len(new) else np.empty(0, np.intp)
    both = np.concatenate([grams, new[first]])
    added = np.concatenate([counts, np.diff(np.append(first, len(new)))])
    together, where = np.unique(both, return_inverse=True)
    return together, np.bincount(where, added, len(together)).astype(np.int64)


def _level(grams: np.ndarray, counts: np.ndarray, bits: int, discount: float | None) -> Level:
    contexts, first, kinds = np.unique(grams >> np.uint64(bits), return_index=True, return_counts=True)
    if discount is None:
        once, twice = (int((counts == times).sum()) for times in (1, 2))
        discount = once / (once + 2 * twice) if once else 0.0
    return Level(grams, counts, contexts, np.add.reduceat(counts, first), kinds, discount)


def _places(ordered: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The position of each wanted number among the sorted ones, and whether it is among them."""
    position = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
    return position, ordered[position] == wanted
