"""Words: how a text is split, counted and numbered, on the host and in TensorFlow's graph."""

import random
from typing import Any

import numpy as np
import pytest

from components.text import words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"Don't   stop!Now", [b"dont", b"stop", b"now"]),
        (b"good.<br /><BR/>bad<br >worse", [b"good", b"bad", b"worse"]),
        (b"<b>a</b>", [b"b", b"a", b"b"]),
        ("naïve Ünser Öl".encode(), ["naïve".encode(), "Ünser".encode(), "Öl".encode()]),
        (b"a\x00b\x1fc\x7fd\x85e", [b"a", b"b", b"c", b"d\x85e"]),
        (b"10/10 'twas", [b"10", b"10", b"twas"]),
        (b" \t\n", []),
        (b"", []),
    ],
)
def test_a_text_is_split_into_words(text: bytes, expected: list[bytes]) -> None:
    assert words.words(text) == expected


def test_the_vocabulary_has_the_most_frequent_words_whatever_the_order_of_the_texts() -> None:
    texts = [b"c b a b", b"b c d", b"\xff \xff \xff \xff", b"x" * 65 + b" " + b"x" * 65]
    assert words.build_vocabulary(texts, 3) == words.build_vocabulary(texts[::-1], 3) == ["b", "c", "a"]
    assert words.build_vocabulary(texts, 100) == ["b", "c", "a", "d"]
    assert words.build_vocabulary([], 5) == []


def test_a_text_becomes_the_numbers_of_its_first_words() -> None:
    found = words.encode([b"a b zzz", b"", b"b b b b b"], ["a", "b"], 4)
    assert found.tolist() == [[2, 3, 1, 0], [0, 0, 0, 0], [3, 3, 3, 3]] and found.dtype == np.int32
    assert words.encode([], ["a"], 4).shape == (0, 4)


def strange(count: int) -> list[bytes]:
    """Texts of any bytes, and of those that mean something to one of the two ways."""
    draw = random.Random(7)
    telling = b" aAbBrR<>/'\x00\xff\xc3\xa9.,\n\t\x0b\x0c\r\x85\xc2\xa0-\xe2\x80\xa8"
    return [
        bytes(draw.choice(telling) if number % 2 else draw.randrange(256) for _ in range(draw.randrange(40)))
        for number in range(count)
    ]


def test_the_graph_numbers_any_bytes_as_the_host_does() -> None:
    import tensorflow as tf

    texts = [*strange(3000), "Ça ‘va’ “bien” \u3000\u2028".encode(), b"\xed\xa0\x80 half", b"x" * 200_000]
    known = words.build_vocabulary(texts, 300)
    encode: Any = tf.function(words.WordTokenizer(known, 9), input_signature=[tf.TensorSpec([None], tf.string)])
    expected = words.encode(texts, known, 9)
    assert (expected > words.UNKNOWN).any() and (expected == words.UNKNOWN).any()
    np.testing.assert_array_equal(encode(tf.constant(texts)).numpy(), expected)
    assert encode(tf.constant([], tf.string)).shape == (0, 9)
