"""Tokenizers of language models, over bytes or byte pairs, on the host and in TensorFlow's graph."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from components.core.errors import StepError
from components.text.byte_pairs import BytePairs

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

BYTES = "bytes"


class Vocabulary(Protocol):
    """Texts to tokens and back.

    Attributes:
        bos: the token before a text (BOS).
    """

    @property
    def bos(self) -> int: ...

    def encode(self, text: bytes, limit: int | None = None) -> np.ndarray:
        """The tokens of a text, at most ``limit`` if given, int32 [length], without BOS."""

    def decode(self, tokens: Iterable[int]) -> bytes:
        """The text of tokens, without BOS."""

    def encode_in_graph(self, texts: "tf.Tensor", limit: int) -> "tuple[tf.Tensor, tf.Tensor]":
        """The first tokens of texts, int32 [n, limit], undefined after a text's end; and their number, int32 [n]."""

    def encode_last_in_graph(self, texts: "tf.Tensor", limit: int) -> "tuple[tf.Tensor, tf.Tensor, tf.Tensor]":
        """The last tokens of texts, their number, and whether they are the whole text, bool [n], in an exported graph.

        Raises:
            StepError: the tokenizer does not run in a graph.
        """

    def decode_in_graph(self, tokens: "tf.Tensor") -> "tf.Tensor":
        """The texts of rows of tokens, string [n]."""


@dataclass(frozen=True)
class ByteTokenizer:
    """One token for each byte, and BOS."""

    bos: int = 256

    def encode(self, text: bytes, limit: int | None = None) -> np.ndarray:
        return np.frombuffer(text[:limit], np.uint8).astype(np.int32)

    def decode(self, tokens: Iterable[int]) -> bytes:
        return bytes(token for token in map(int, tokens) if token != self.bos)

    def encode_in_graph(self, texts: "tf.Tensor", limit: int) -> "tuple[tf.Tensor, tf.Tensor]":
        import tensorflow as tf

        sizes = tf.minimum(tf.strings.length(texts), limit)
        return tf.cast(tf.io.decode_raw(texts, tf.uint8, fixed_length=limit), tf.int32), sizes

    def encode_last_in_graph(self, texts: "tf.Tensor", limit: int) -> "tuple[tf.Tensor, tf.Tensor, tf.Tensor]":
        import tensorflow as tf

        sizes = tf.strings.length(texts)
        last = tf.strings.substr(texts, tf.maximum(sizes - limit, 0), tf.fill(tf.shape(sizes), limit))
        return *self.encode_in_graph(last, limit), sizes <= limit

    def decode_in_graph(self, tokens: "tf.Tensor") -> "tf.Tensor":
        return _join([bytes([byte]) for byte in range(256)] + [b""], tokens)


@dataclass(frozen=True)
class BPETokenizer:
    """GPT-2's byte pairs, in Python: training calls it from the graph; an exported graph cannot."""

    pairs: BytePairs

    @property
    def bos(self) -> int:
        return self.pairs.bos

    def encode(self, text: bytes, limit: int | None = None) -> np.ndarray:
        return np.array(self.pairs.encode(text, limit), np.int32)

    def decode(self, tokens: Iterable[int]) -> bytes:
        return self.pairs.decode(list(tokens))

    def encode_in_graph(self, texts: "tf.Tensor", limit: int) -> "tuple[tf.Tensor, tf.Tensor]":
        import tensorflow as tf

        def encode(batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            lines = [self.encode(text, limit) for text in batch]
            rows = np.zeros((len(lines), limit), np.int32)
            for row, line in zip(rows, lines, strict=True):
                row[: len(line)] = line
            return rows, np.array([len(line) for line in lines], np.int32)

        rows, sizes = tf.numpy_function(encode, [texts], [tf.int32, tf.int32])
        return tf.ensure_shape(rows, [None, limit]), tf.ensure_shape(sizes, [None])

    def encode_last_in_graph(self, texts: "tf.Tensor", limit: int) -> "tuple[tf.Tensor, tf.Tensor, tf.Tensor]":
        raise StepError("its tokenizer runs outside TensorFlow's graph, so it cannot take texts", kind="model")

    def decode_in_graph(self, tokens: "tf.Tensor") -> "tf.Tensor":
        return _join([self.pairs.decode([token]) for token in range(len(self.pairs.vocabulary))], tokens)


def _join(pieces: list[bytes], tokens: "tf.Tensor") -> "tf.Tensor":
    import tensorflow as tf

    return tf.strings.reduce_join(tf.gather(tf.constant(pieces), tokens), axis=1)


def from_assets(assets: dict[str, Any]) -> Vocabulary:
    """The vocabulary of a network, from its assets."""
    if assets["tokens"] == BYTES:
        return ByteTokenizer()
    return BPETokenizer(BytePairs(assets["vocabulary"], assets["merges"]))


def assets_of(network: "keras.Model") -> dict[str, Any]:
    """A language model's assets: what its tokens are, and ``length``, how many it sees."""
    own = [layer.vocabulary_assets() for layer in network.layers if hasattr(layer, "vocabulary_assets")]
    return {**(own[0] if own else {"tokens": BYTES}), "length": int(network.input_shape[1])}
