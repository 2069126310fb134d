"""The n-gram model against nltk's, and as a distribution."""

from itertools import product

import numpy as np
import pytest

from components.tasks.text_generation import kneser_ney

TOKENS = 6
TEXTS = [np.array([1, 2, 3, 1, 2, 4, 1, 2, 3]), np.array([0]), np.array([3, 3, 1, 2, 3, 0, 1])]
# Known contexts, unknown ones, the text's start, a repeated token.
ASKED = [np.array([1, 2, 3, 3, 4]), np.array([4, 4, 4, 0, 1, 2]), np.array([0])]


def _grams(sequence: np.ndarray, order: int) -> list[tuple[str, ...]]:
    """The n-grams of every length that end at a token of the sequence, not at a sign of the beginning."""
    line = ["begin"] * (order - 1) + [str(token) for token in sequence]
    ends = range(order, len(line) + 1)
    return [tuple(line[end - length : end]) for end in ends for length in range(1, order + 1)]


@pytest.mark.parametrize("order", [2, 3, 5])
@pytest.mark.parametrize("discount", [0.1, 0.75])
def test_the_probabilities_are_those_of_nltk(order: int, discount: float) -> None:
    from nltk.lm import KneserNeyInterpolated, Vocabulary

    theirs = KneserNeyInterpolated(order, discount, vocabulary=Vocabulary([str(token) for token in range(TOKENS)]))
    theirs.fit([_grams(text, order) for text in TEXTS])
    expected = [theirs.score(gram[-1], gram[:-1]) for text in ASKED for gram in _grams(text, order)[order - 1 :: order]]
    ours = kneser_ney.counted(TEXTS, order, TOKENS, discount, uniform=0)
    np.testing.assert_allclose(ours.probabilities(ASKED), expected, rtol=1e-12)


def test_the_probabilities_of_all_tokens_sum_to_1_after_every_context() -> None:
    model = kneser_ney.counted(TEXTS, 3, TOKENS)
    for context in product(range(TOKENS), repeat=2):
        following = [model.probabilities([np.array([*context, token])])[-1] for token in range(TOKENS)]
        assert sum(following) == pytest.approx(1, abs=1e-12)
        assert min(following) > 0, "a token that was never seen is possible"


def test_counting_in_parts_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = kneser_ney.counted(TEXTS, 4, TOKENS).probabilities(ASKED)
    monkeypatch.setattr(kneser_ney, "CHUNK", 1)
    np.testing.assert_array_equal(kneser_ney.counted(TEXTS, 4, TOKENS).probabilities(ASKED), whole)


def test_what_cannot_be_counted_is_said() -> None:
    with pytest.raises(ValueError, match="nothing to count"):
        kneser_ney.counted([], 5, 256)
    with pytest.raises(ValueError, match="8 tokens of 9 bits do not fit into 64"):
        kneser_ney.counted(TEXTS, 8, 256)
