"""Texts as tokens and back, on the host and in TensorFlow's graph."""

import numpy as np
import pytest

from components.text.subwords import END, FIRST_BYTE, FIRST_PIECE, PAD, SubwordTokenizer, learn_pieces

TEXTS = ["the other mother", "", "e", "thetheth", "ünïcödé 数字 🙂", "a" * 50, "the " * 20]
PIECES = ("th", "the", " other", "moth", "ö", "数字", "🙂", "aaaaaaaa")


@pytest.mark.parametrize("pieces", [(), PIECES], ids=["bytes", "pieces"])
@pytest.mark.parametrize("length", [1, 4, 9, 64])
def test_the_graph_and_the_host_cut_texts_alike(pieces: tuple[str, ...], length: int) -> None:
    import tensorflow as tf

    tokens = SubwordTokenizer(pieces)
    raw = [text.encode() for text in TEXTS] + [b"th\0e", b"\xff\xfe\x00", bytes(range(256)), b"\0" * 9, b"the\0\0"]
    at_home = tokens.encode(raw, length)
    in_graph = tf.function(lambda texts: tokens.encode_in_graph(texts, length))(tf.constant(raw)).numpy()
    np.testing.assert_array_equal(at_home, in_graph)
    assert at_home.dtype == in_graph.dtype == np.int32
    assert tokens.decode_in_graph(tf.constant(at_home)).numpy().tolist() == tokens.decode(at_home)


@pytest.mark.parametrize("pieces", [(), PIECES], ids=["bytes", "pieces"])
def test_texts_come_back_as_they_were(pieces: tuple[str, ...]) -> None:
    raw = [text.encode() for text in TEXTS] + [b"\xff\xfe\x00", bytes(range(256))]
    tokens = SubwordTokenizer(pieces)
    assert tokens.decode(tokens.encode(raw, 300)) == raw


def test_the_longest_piece_is_taken_from_the_left() -> None:
    tokens = SubwordTokenizer(PIECES)
    (row,) = tokens.encode([b"the other mothth"], 20)
    taken = [tokens.strings[token] for token in row[:6].tolist()]
    assert taken == [b"the", b" other", b" ", b"moth", b"th", b""]
    assert row[5] == END
    assert (row[6:] == PAD).all()


def test_a_text_that_is_too_long_is_cut_and_has_no_end() -> None:
    (row,) = SubwordTokenizer().encode([b"abcde"], 3)
    assert row.tolist() == [FIRST_BYTE + byte for byte in b"abc"]
    (row,) = SubwordTokenizer().encode([b"ab"], 3)
    assert row[-1] == END


def test_pieces_are_parts_of_words_that_shorten_the_text_they_were_counted_in() -> None:
    text = "the weather of the mountains, the weather of the sea\n" * 20 + "größer"
    pieces = learn_pieces([text], 12)
    assert 4 <= len(pieces) == len(set(pieces)) <= 12
    assert all(2 <= len(piece.encode()) <= 8 and "," not in piece[:-1] for piece in pieces)
    assert " weather" in pieces
    raw = [text.encode()]
    counts = [(SubwordTokenizer(kind).encode(raw, 2000) > END).sum() for kind in ((), pieces)]
    assert counts[1] < 0.4 * counts[0]
    assert learn_pieces([text], 12) == pieces


@pytest.mark.parametrize("texts", [[], [""], ["a b"]], ids=["no texts", "an empty text", "words of a letter"])
def test_where_there_is_little_to_count_there_are_few_pieces(texts: list[str]) -> None:
    pieces = learn_pieces(texts, 10)
    assert len(pieces) <= 1
    assert SubwordTokenizer(pieces).size == FIRST_PIECE + len(pieces)
