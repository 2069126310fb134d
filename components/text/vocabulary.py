"""What a language model takes for tokens, bytes or merged pairs of them, in the graph of TensorFlow and outside it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from components.core.errors import StepError
from components.text.byte_pairs import BytePairs

if TYPE_CHECKING:
    import tensorflow as tf

BYTES = "bytes"


class Vocabulary(Protocol):
    """Texts as tokens and back.

    Attributes:
        begin: the token of a text's beginning.
    """

    @property
    def begin(self) -> int: ...

    def encode(self, text: bytes, most: int | None = None) -> np.ndarray:
        """The tokens of a text, or the first ``most``, int32 [length], without its beginning."""

    def decode(self, tokens: Iterable[int]) -> bytes:
        """The text of some tokens; a beginning is left out."""

    def rows(self, texts: "tf.Tensor", most: int) -> "tuple[tf.Tensor, tf.Tensor]":
        """The first tokens of texts in the graph: int32 [n, most], what is after a text's end being of no meaning; and
        how many each has of them, int32 [n]."""

    def last_rows(self, texts: "tf.Tensor", most: int) -> "tuple[tf.Tensor, tf.Tensor, tf.Tensor]":
        """The same of the last tokens of texts, and whether they are the whole text, bool [n], in a graph that is
        exported.

        Raises:
            StepError: no such graph can make the tokens.
        """

    def joined(self, tokens: "tf.Tensor") -> "tf.Tensor":
        """The texts of rows of tokens in the graph, string [n]."""


@dataclass(frozen=True)
class ByteTokenizer:
    """256 tokens, and one for a text's beginning, which no text has in it."""

    begin: int = 256

    def encode(self, text: bytes, most: int | None = None) -> np.ndarray:
        return np.frombuffer(text[:most], np.uint8).astype(np.int32)

    def decode(self, tokens: Iterable[int]) -> bytes:
        return bytes(token for token in map(int, tokens) if token != self.begin)

    def rows(self, texts: "tf.Tensor", most: int) -> "tuple[tf.Tensor, tf.Tensor]":
        import tensorflow as tf

        sizes = tf.minimum(tf.strings.length(texts), most)
        return tf.cast(tf.io.decode_raw(texts, tf.uint8, fixed_length=most), tf.int32), sizes

    def last_rows(self, texts: "tf.Tensor", most: int) -> "tuple[tf.Tensor, tf.Tensor, tf.Tensor]":
        import tensorflow as tf

        sizes = tf.strings.length(texts)
        last = tf.strings.substr(texts, tf.maximum(sizes - most, 0), tf.fill(tf.shape(sizes), most))
        return *self.rows(last, most), sizes <= most

    def joined(self, tokens: "tf.Tensor") -> "tf.Tensor":
        return _joined([bytes([byte]) for byte in range(256)] + [b""], tokens)


@dataclass(frozen=True)
class BPETokenizer:
    """GPT-2's merged pairs of bytes, made by Python: training calls it out of the graph, no exported graph can."""

    made: BytePairs

    @property
    def begin(self) -> int:
        return self.made.begin

    def encode(self, text: bytes, most: int | None = None) -> np.ndarray:
        return np.array(self.made.encode(text, most), np.int32)

    def decode(self, tokens: Iterable[int]) -> bytes:
        return self.made.decode(list(tokens))

    def rows(self, texts: "tf.Tensor", most: int) -> "tuple[tf.Tensor, tf.Tensor]":
        import tensorflow as tf

        def encoded(some: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            lines = [self.encode(text, most) for text in some]
            whole = np.zeros((len(lines), most), np.int32)
            for row, line in zip(whole, lines, strict=True):
                row[: len(line)] = line
            return whole, np.array([len(line) for line in lines], np.int32)

        rows, sizes = tf.numpy_function(encoded, [texts], [tf.int32, tf.int32])
        return tf.ensure_shape(rows, [None, most]), tf.ensure_shape(sizes, [None])

    def last_rows(self, texts: "tf.Tensor", most: int) -> "tuple[tf.Tensor, tf.Tensor, tf.Tensor]":
        raise StepError("its tokens are made outside TensorFlow's graph, so it cannot take texts", kind="model")

    def joined(self, tokens: "tf.Tensor") -> "tf.Tensor":
        return _joined([self.made.decode([token]) for token in range(len(self.made.vocabulary))], tokens)


def _joined(pieces: list[bytes], tokens: "tf.Tensor") -> "tf.Tensor":
    import tensorflow as tf

    return tf.strings.reduce_join(tf.gather(tf.constant(pieces), tokens), axis=1)


def of(assets: dict[str, Any]) -> Vocabulary:
    """The vocabulary that a network's assets tell."""
    if assets["tokens"] == BYTES:
        return ByteTokenizer()
    return BPETokenizer(BytePairs(assets["vocabulary"], assets["merges"]))
