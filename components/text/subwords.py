"""Text as numbers and back: bytes, and pieces of up to 8 bytes that were counted in a text, so that none is unknown.

A text is cut by taking the longest piece that fits, from the left, again and again. A piece is one whole number of 64
bits, so both the host and TensorFlow's graph find it by a binary search, without a table of strings.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

PAD, START, END = 0, 1, 2
FIRST_BYTE = 3
FIRST_PIECE = FIRST_BYTE + 256
LONGEST = 8
# A word with the space before it, or what stands between words; a piece lies within one of them.
WORDS = re.compile(r" ?\w+| ?[^\w\s]+|\s+")
# Different words that are counted, the most frequent ones: rarer ones tell no piece.
MOST_WORDS = 100_000


@dataclass(frozen=True)
class SubwordTokenizer:
    """Which tokens there are: PAD, START, END, the 256 bytes, and ``pieces`` of 2 to 8 bytes of UTF-8."""

    pieces: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """How many."""
        return FIRST_PIECE + len(self.pieces)

    @cached_property
    def strings(self) -> list[bytes]:
        """What each token stands for; nothing for the first three."""
        return [b""] * FIRST_BYTE + [bytes([byte]) for byte in range(256)] + [piece.encode() for piece in self.pieces]

    @cached_property
    def _sorted(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The pieces' codes in rising order, int64, with their tokens and their lengths, int32."""
        codes = np.array([_code(piece.encode()) for piece in self.pieces], np.int64)
        order = np.argsort(codes)
        sizes = np.array([len(piece.encode()) for piece in self.pieces], np.int32)
        return codes[order], (order + FIRST_PIECE).astype(np.int32), sizes[order]

    def _read(self, length: int) -> int:
        """Bytes of a text that ``length`` tokens can take up."""
        return length * (LONGEST if self.pieces else 1)

    # --- on the host --------------------------------------------------------------------------------------------------

    def ids(self, texts: Sequence[bytes], length: int) -> np.ndarray:
        """The tokens of texts, int32 [n, length]: ended by END and filled up with PAD; of a longer one its first."""
        most = self._read(length)
        sizes = np.array([len(text) for text in texts], np.int64)
        rows = np.zeros((len(texts), most + LONGEST), np.uint8)
        for row, text in zip(rows, texts, strict=True):
            part = np.frombuffer(text[: most + LONGEST], np.uint8)
            row[: len(part)] = part
        token, taken = self._longest(rows, np.minimum(sizes, most + LONGEST), most)
        found = np.full((len(texts), length), PAD, np.int32)
        places, one = np.zeros(len(texts), np.int64), np.arange(len(texts))
        for number in range(length):
            inside, here = places < sizes, np.minimum(places, most - 1)
            found[:, number] = np.where(inside, token[one, here], np.where(places == sizes, END, PAD))
            places = np.where(inside, places + taken[one, here], sizes + 1)
        return found

    def _longest(self, rows: np.ndarray, sizes: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
        """The longest token that starts at each of the first ``most`` places, and its bytes: two [n, most]."""
        token, taken = rows[:, :most].astype(np.int32) + FIRST_BYTE, np.ones((len(rows), most), np.int64)
        if not self.pieces:
            return token, taken
        codes, tokens, lengths = self._sorted
        code = rows[:, :most].astype(np.int64)
        for size in range(2, LONGEST + 1):
            code |= rows[:, size - 1 : most + size - 1].astype(np.int64) << 8 * (size - 1)
            place = np.minimum(np.searchsorted(codes, code), len(codes) - 1)
            fits = (codes[place] == code) & (lengths[place] == size) & (np.arange(most) + size <= sizes[:, None])
            token, taken = np.where(fits, tokens[place], token), np.where(fits, size, taken)
        return token, taken

    def texts(self, ids: np.ndarray) -> list[bytes]:
        """The texts of tokens, integers [n, length], each up to its END."""
        strings = self.strings
        return [b"".join(strings[token] for token in _before_end(row)) for row in ids.tolist()]

    # --- in TensorFlow's graph ----------------------------------------------------------------------------------------

    def ids_in_graph(self, texts: "tf.Tensor", length: int) -> "tf.Tensor":
        """``ids`` of a tensor of strings [n]."""
        import tensorflow as tf

        most = self._read(length)
        sizes = tf.strings.length(texts)
        rows = tf.io.decode_raw(texts, tf.uint8, fixed_length=most + LONGEST)
        token, taken = self._longest_in_graph(rows, tf.minimum(sizes, most + LONGEST), most)

        def one_more(number: "tf.Tensor", places: "tf.Tensor", found: Any) -> Any:
            inside, here = places < sizes, tf.minimum(places, most - 1)
            there = tf.gather(token, here, batch_dims=1)
            after = tf.where(inside, places + tf.gather(taken, here, batch_dims=1), sizes + 1)
            return number + 1, after, found.write(number, tf.where(inside, there, tf.where(places == sizes, END, PAD)))

        start = (tf.constant(0), tf.zeros_like(sizes), tf.TensorArray(tf.int32, length, element_shape=[None]))
        _, _, found = tf.while_loop(lambda number, *_: number < length, one_more, start)
        return tf.ensure_shape(tf.transpose(found.stack()), [None, length])

    def _longest_in_graph(self, rows: "tf.Tensor", sizes: "tf.Tensor", most: int) -> "tuple[tf.Tensor, tf.Tensor]":
        import tensorflow as tf

        token = tf.cast(rows[:, :most], tf.int32) + FIRST_BYTE
        taken = tf.ones_like(token)
        if not self.pieces:
            return token, taken
        codes, tokens, lengths = (tf.constant(values) for values in self._sorted)
        code = tf.cast(rows[:, :most], tf.int64)
        for size in range(2, LONGEST + 1):
            byte = tf.cast(rows[:, size - 1 : most + size - 1], tf.int64)
            code = tf.bitwise.bitwise_or(code, tf.bitwise.left_shift(byte, tf.constant(8 * (size - 1), tf.int64)))
            found = tf.reshape(tf.searchsorted(codes, tf.reshape(code, [-1])), tf.shape(code))
            place = tf.minimum(found, len(self.pieces) - 1)
            fits = (tf.gather(codes, place) == code) & (tf.gather(lengths, place) == size)
            fits &= tf.range(most) + size <= sizes[:, None]
            token, taken = tf.where(fits, tf.gather(tokens, place), token), tf.where(fits, size, taken)
        return token, taken

    def texts_in_graph(self, ids: "tf.Tensor") -> "tf.Tensor":
        """``texts`` as a tensor of strings [n]."""
        import tensorflow as tf

        ended = tf.cumsum(tf.cast(ids == END, tf.int32), axis=1) > 0
        return tf.strings.reduce_join(tf.gather(tf.constant(self.strings), tf.where(ended, PAD, ids)), axis=1)


def learned(texts: Iterable[str], most: int) -> tuple[str, ...]:
    """At most ``most`` pieces that shorten such texts, the most useful ones first.

    All parts of words are candidates. Those that are worth most, by how often they occur times the tokens that each
    saves over bytes, are kept and the words cut with them; of those that are then used the most useful remain.
    """
    words = Counter(word for text in texts for word in WORDS.findall(text)).most_common(MOST_WORDS)
    counts: Counter[str] = Counter()
    for word, times in words:
        for piece in _parts(word):
            counts[piece] += times
    found = _best(counts, 4 * most)
    raw = [word.encode() for word, _ in words]
    length = max((len(word) for word in raw), default=0) + 1
    for kept in (2 * most, most):
        used = np.zeros(FIRST_PIECE + len(found), np.int64)
        for row, (_, times) in zip(SubwordTokenizer(found).ids(raw, length), words, strict=True):
            np.add.at(used, row, times)
        found = _best(Counter(dict(zip(found, used[FIRST_PIECE:].tolist(), strict=True))), kept)
    return found


def _parts(word: str) -> set[str]:
    """The parts of a word that have 2 to 8 bytes, but not the byte 0, which pads."""
    ends = range(1, len(word) + 1)
    parts = {word[start:end] for end in ends for start in range(max(0, end - LONGEST), end)}
    return {part for part in parts if 2 <= len(part.encode()) <= LONGEST and "\0" not in part}


def _best(counts: Counter[str], most: int) -> tuple[str, ...]:
    """Those that save most; of equal ones the first by the alphabet."""
    worth = {piece: count * (len(piece.encode()) - 1) for piece, count in counts.items() if count}
    return tuple(sorted(worth, key=lambda piece: (-worth[piece], piece))[:most])


def _code(piece: bytes) -> int:
    return int.from_bytes(piece.ljust(LONGEST, b"\0"), "little", signed=True)


def _before_end(row: list[int]) -> list[int]:
    return row[: row.index(END)] if END in row else row
