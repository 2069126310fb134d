"""Subword tokenizer: bytes, and pieces of up to 8 bytes learned from a text, so that no text is out of vocabulary.

A text is split from the left, by the longest piece that fits. A piece is one 64-bit integer, so both the host and
TensorFlow's graph find it by binary search, without a table of strings.
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
MAX_PIECE_BYTES = 8
# A word with the space before it, or the characters between words; no piece crosses from one to the next.
WORDS = re.compile(r" ?\w+| ?[^\w\s]+|\s+")
# Pieces are learned from the most frequent words; rarer ones do not matter.
MAX_WORDS = 100_000


@dataclass(frozen=True)
class SubwordTokenizer:
    """The tokens are PAD, START, END, the 256 bytes, and ``pieces`` of 2 to 8 bytes of UTF-8."""

    pieces: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        return FIRST_PIECE + len(self.pieces)

    @cached_property
    def strings(self) -> list[bytes]:
        """The bytes of each token; empty for the first three."""
        return [b""] * FIRST_BYTE + [bytes([byte]) for byte in range(256)] + [piece.encode() for piece in self.pieces]

    @cached_property
    def _sorted(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The pieces' codes in ascending order, int64, with their tokens and lengths, int32."""
        codes = np.array([_code(piece.encode()) for piece in self.pieces], np.int64)
        order = np.argsort(codes)
        sizes = np.array([len(piece.encode()) for piece in self.pieces], np.int32)
        return codes[order], (order + FIRST_PIECE).astype(np.int32), sizes[order]

    def _max_bytes(self, length: int) -> int:
        """The most bytes of a text that ``length`` tokens cover."""
        return length * (MAX_PIECE_BYTES if self.pieces else 1)

    # --- on the host --------------------------------------------------------------------------------------------------

    def encode(self, texts: Sequence[bytes], length: int) -> np.ndarray:
        """The first tokens of texts, int32 [n, length], followed by END and padding."""
        limit = self._max_bytes(length)
        sizes = np.array([len(text) for text in texts], np.int64)
        rows = np.zeros((len(texts), limit + MAX_PIECE_BYTES), np.uint8)
        for row, text in zip(rows, texts, strict=True):
            part = np.frombuffer(text[: limit + MAX_PIECE_BYTES], np.uint8)
            row[: len(part)] = part
        token, width = self._longest(rows, np.minimum(sizes, limit + MAX_PIECE_BYTES), limit)
        ids = np.full((len(texts), length), PAD, np.int32)
        offsets, each = np.zeros(len(texts), np.int64), np.arange(len(texts))
        for number in range(length):
            inside, at = offsets < sizes, np.minimum(offsets, limit - 1)
            ids[:, number] = np.where(inside, token[each, at], np.where(offsets == sizes, END, PAD))
            offsets = np.where(inside, offsets + width[each, at], sizes + 1)
        return ids

    def _longest(self, rows: np.ndarray, sizes: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
        """The longest token at each of the first ``limit`` bytes, and its width in bytes: two [n, limit]."""
        token, width = rows[:, :limit].astype(np.int32) + FIRST_BYTE, np.ones((len(rows), limit), np.int64)
        if not self.pieces:
            return token, width
        codes, tokens, lengths = self._sorted
        code = rows[:, :limit].astype(np.int64)
        for size in range(2, MAX_PIECE_BYTES + 1):
            code |= rows[:, size - 1 : limit + size - 1].astype(np.int64) << 8 * (size - 1)
            rank = np.minimum(np.searchsorted(codes, code), len(codes) - 1)
            fits = (codes[rank] == code) & (lengths[rank] == size) & (np.arange(limit) + size <= sizes[:, None])
            token, width = np.where(fits, tokens[rank], token), np.where(fits, size, width)
        return token, width

    def decode(self, ids: np.ndarray) -> list[bytes]:
        """The texts of tokens, integers [n, length], each up to its END."""
        strings, rows = self.strings, ids.tolist()
        return [b"".join(strings[token] for token in row[: row.index(END) if END in row else None]) for row in rows]

    # --- in TensorFlow's graph ----------------------------------------------------------------------------------------

    def encode_in_graph(self, texts: "tf.Tensor", length: int) -> "tf.Tensor":
        """``encode`` for a tensor of strings [n]."""
        import tensorflow as tf

        limit = self._max_bytes(length)
        sizes = tf.strings.length(texts)
        rows = tf.io.decode_raw(texts, tf.uint8, fixed_length=limit + MAX_PIECE_BYTES)
        token, width = self._longest_in_graph(rows, tf.minimum(sizes, limit + MAX_PIECE_BYTES), limit)

        def one_more(number: "tf.Tensor", offsets: "tf.Tensor", ids: Any) -> Any:
            inside, at = offsets < sizes, tf.minimum(offsets, limit - 1)
            ended = tf.where(offsets == sizes, END, PAD)
            ids = ids.write(number, tf.where(inside, tf.gather(token, at, batch_dims=1), ended))
            return number + 1, tf.where(inside, offsets + tf.gather(width, at, batch_dims=1), sizes + 1), ids

        start = (tf.constant(0), tf.zeros_like(sizes), tf.TensorArray(tf.int32, length, element_shape=[None]))
        _, _, ids = tf.while_loop(lambda number, *_: number < length, one_more, start)
        return tf.ensure_shape(tf.transpose(ids.stack()), [None, length])

    def _longest_in_graph(self, rows: "tf.Tensor", sizes: "tf.Tensor", limit: int) -> "tuple[tf.Tensor, tf.Tensor]":
        import tensorflow as tf

        token = tf.cast(rows[:, :limit], tf.int32) + FIRST_BYTE
        width = tf.ones_like(token)
        if not self.pieces:
            return token, width
        codes, tokens, lengths = (tf.constant(values) for values in self._sorted)
        code = tf.cast(rows[:, :limit], tf.int64)
        for size in range(2, MAX_PIECE_BYTES + 1):
            byte = tf.cast(rows[:, size - 1 : limit + size - 1], tf.int64)
            code = tf.bitwise.bitwise_or(code, tf.bitwise.left_shift(byte, tf.constant(8 * (size - 1), tf.int64)))
            rank = tf.reshape(tf.searchsorted(codes, tf.reshape(code, [-1])), tf.shape(code))
            rank = tf.minimum(rank, len(self.pieces) - 1)
            fits = (tf.gather(codes, rank) == code) & (tf.gather(lengths, rank) == size)
            fits &= tf.range(limit) + size <= sizes[:, None]
            token, width = tf.where(fits, tf.gather(tokens, rank), token), tf.where(fits, size, width)
        return token, width

    def decode_in_graph(self, ids: "tf.Tensor") -> "tf.Tensor":
        """``decode`` as a tensor of strings [n]."""
        import tensorflow as tf

        ended = tf.cumsum(tf.cast(ids == END, tf.int32), axis=1) > 0
        return tf.strings.reduce_join(tf.gather(tf.constant(self.strings), tf.where(ended, PAD, ids)), axis=1)


def learn_pieces(texts: Iterable[str], limit: int) -> tuple[str, ...]:
    """At most ``limit`` pieces that shorten such texts, the most useful first.

    All parts of words are candidates. Those that save most, by their count times the tokens that each saves over bytes,
    split the words; of those that are then used the most useful remain.
    """
    words = Counter(word for text in texts for word in WORDS.findall(text)).most_common(MAX_WORDS)
    counts: Counter[str] = Counter()
    for word, times in words:
        for piece in _parts(word):
            counts[piece] += times
    pieces = _best(counts, 4 * limit)
    raw = [word.encode() for word, _ in words]
    length = max((len(word) for word in raw), default=0) + 1
    for count in (2 * limit, limit):
        used = np.zeros(FIRST_PIECE + len(pieces), np.int64)
        for row, (_, times) in zip(SubwordTokenizer(pieces).encode(raw, length), words, strict=True):
            np.add.at(used, row, times)
        pieces = _best(Counter(dict(zip(pieces, used[FIRST_PIECE:].tolist(), strict=True))), count)
    return pieces


def _parts(word: str) -> set[str]:
    """The parts of a word that have 2 to 8 bytes, without the byte 0, which is padding."""
    ends = range(1, len(word) + 1)
    parts = {word[start:end] for end in ends for start in range(max(0, end - MAX_PIECE_BYTES), end)}
    return {part for part in parts if 2 <= len(part.encode()) <= MAX_PIECE_BYTES and "\0" not in part}


def _best(counts: Counter[str], limit: int) -> tuple[str, ...]:
    """The pieces that save most bytes; ties in alphabetical order."""
    saved = {piece: count * (len(piece.encode()) - 1) for piece, count in counts.items() if count}
    return tuple(sorted(saved, key=lambda piece: (-saved[piece], piece))[:limit])


def _code(piece: bytes) -> int:
    return int.from_bytes(piece.ljust(MAX_PIECE_BYTES, b"\0"), "little", signed=True)
