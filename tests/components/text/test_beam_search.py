"""Beam search against brute force, greedy decoding, and its other implementation."""

from itertools import product

import numpy as np
import pytest

from components.text import beam_search
from components.text.subwords import END, PAD, START

SIZE, LENGTH = 6, 4
WORDS = (END, 3, 4, 5)


class Language:
    """Random logits of the next token for every prefix, different for each source."""

    def __init__(self, sources: int, sharpness: float = 2.0) -> None:
        values = np.random.default_rng(3).normal(0, sharpness, (sources, SIZE**LENGTH, SIZE))
        self.logits = values.astype(np.float32)

    def row(self, source: int, tokens: tuple[int, ...]) -> np.ndarray:
        """Logits [SIZE]. Different prefixes are different numbers: no generated token is 0."""
        row: np.ndarray = self.logits[source, sum(token * SIZE**place for place, token in enumerate(tokens))]
        return row

    def log_probs(self, source: int, tokens: tuple[int, ...]) -> np.ndarray:
        """Logarithms of probabilities [SIZE]."""
        row = self.row(source, tokens).astype(np.float64)
        log_probs: np.ndarray = row - np.log(np.exp(row).sum())
        return log_probs

    def next_logits(self, width: int):
        def logits(tokens: np.ndarray, position: int) -> np.ndarray:
            return np.stack(
                [self.row(number // width, tuple(row[:position])) for number, row in enumerate(tokens.tolist())]
            )

        return logits


def sentences() -> list[tuple[int, ...]]:
    """All of them: ended by END, or so long that none fits."""
    found = []
    for length in range(1, LENGTH + 1):
        for head in product(WORDS[1:], repeat=length - 1):
            found += [(*head, last) for last in (WORDS if length == LENGTH else (END,))]
    return found


def brute_force(language: Language, source: int, strength: float) -> list[int]:
    def worth(sentence: tuple[int, ...]) -> float:
        total = sum(language.log_probs(source, sentence[:place])[token] for place, token in enumerate(sentence))
        return float(total / ((5 + len(sentence)) / 6) ** strength)

    return list(max(sentences(), key=worth))


def padded(sentence: list[int]) -> list[int]:
    return sentence + [PAD] * (LENGTH - len(sentence))


@pytest.mark.parametrize("strength", [0.0, 0.6, 1.0, 3.0])
def test_a_beam_as_wide_as_there_are_sentences_finds_the_best_of_them_all(strength: float) -> None:
    language, width = Language(20), len(sentences())
    found = beam_search.search(language.next_logits(width), 20, LENGTH, width, strength)
    assert found.tolist() == [padded(brute_force(language, source, strength)) for source in range(20)]


def test_longer_sentences_win_where_length_is_rewarded() -> None:
    language, width = Language(20, 0.5), len(sentences())
    lengths = [
        (beam_search.search(language.next_logits(width), 20, LENGTH, width, strength) != PAD).sum()
        for strength in (0, 3)
    ]
    assert lengths[0] < lengths[1]


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_a_beam_of_one_takes_the_most_probable_token_each_time(strength: float) -> None:
    language = Language(20)
    greedy = []
    for source in range(20):
        sentence: list[int] = []
        while len(sentence) < LENGTH and END not in sentence:
            log_probs = language.log_probs(source, tuple(sentence))
            sentence.append(max(WORDS, key=lambda token, log_probs=log_probs: log_probs[token]))
        greedy.append(padded(sentence))
    assert beam_search.search(language.next_logits(1), 20, LENGTH, 1, strength).tolist() == greedy


def test_neither_padding_nor_a_start_is_written_however_probable() -> None:
    logits = np.zeros((1, SIZE), np.float32)
    logits[0, [PAD, START]] = 50
    logits[0, 4] = 1
    assert beam_search.search(lambda tokens, position: logits, 1, LENGTH).tolist() == [[4] * LENGTH]


@pytest.mark.parametrize("width", [1, 3, 40])
def test_in_a_graph_with_a_state_the_same_sentences_are_found(width: int) -> None:
    import tensorflow as tf

    language = Language(20)
    table = tf.constant(language.logits)
    sources = tf.repeat(tf.range(20), width)

    def next_logits(last, position, state):
        # The state is the sentence so far, as a number: the cache must be reordered with the beams.
        state = tf.where(position > 0, state + last * SIZE ** tf.maximum(position - 1, 0), state)
        return tf.gather_nd(table, tf.stack([sources, state], axis=1)), state

    @tf.function
    def searched():
        return beam_search.search_in_graph(next_logits, tf.zeros([20 * width], tf.int32), 20, LENGTH, width, 0.6)

    by_numpy = beam_search.search(language.next_logits(width), 20, LENGTH, width, 0.6)
    np.testing.assert_array_equal(searched().numpy(), by_numpy)
