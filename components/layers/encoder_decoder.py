"""The encoder-decoder Transformer (A. Vaswani et al., 2017, arXiv:1706.03762)."""

from typing import Any

import keras
from keras import ops

from components.layers.attention import Block, Cache, Positions
from components.text.subwords import FIRST_PIECE, PAD

# The encoder's output: keys and values for each layer of the decoder, and which positions are not padding.
Memory = tuple[list[Cache], Any]


@keras.saving.register_keras_serializable("suanli")
class EncoderDecoder(keras.layers.Layer):
    """Source tokens and the target tokens so far, to logits of the next target token.

    Its input is one tensor, int32 [n, source_length + target_length]: the source with END and padding, then the target
    shifted right, with START first. Its output is float32 [n, target_length, vocabulary], at each position the logits
    of the next token. Tokens are those of ``components.text.subwords``; source, target and output share one embedding.

    ``call`` computes all positions of a given target at once. For generation, ``encode`` reads the source and ``step``
    adds one token at a time with a key-value cache.

    Args:
        pieces: of the tokenizer, so that the saved model has them.
        width: of the vectors.
        layers: of the encoder, and as many of the decoder.
        hidden: units between the two dense layers of each block.
        label_smoothing: of the training loss, so that the saved model has it.
    """

    def __init__(
        self,
        source_length: int,
        target_length: int,
        pieces: list[str],
        width: int,
        heads: int,
        layers: int,
        hidden: int,
        dropout: float,
        label_smoothing: float = 0.0,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.source_length, self.target_length, self.pieces = source_length, target_length, tuple(pieces)
        self.width, self.heads, self.layers, self.hidden = width, heads, layers, hidden
        self.dropout, self.label_smoothing = dropout, label_smoothing
        self.vocabulary = FIRST_PIECE + len(self.pieces)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        kind, shape = {"dtype": self.dtype_policy}, (None, None, self.width)
        # A variance of 1 / width: the logits, which share the matrix, start with a variance of about 1.
        small = keras.initializers.RandomNormal(stddev=self.width**-0.5)
        self.embedding = self.add_weight(shape=(self.vocabulary, self.width), initializer=small, name="embedding")
        self.source_places = Positions(self.source_length, name="source_places", **kind)
        self.target_places = Positions(self.target_length, name="target_places", **kind)
        self.encoder, self.decoder = (
            [
                Block(self.heads, self.hidden, cross, cross, self.dropout, "relu", name=f"{side}_{number}", **kind)
                for number in range(self.layers)
            ]
            for side, cross in (("encoder", False), ("decoder", True))
        )
        self.encoded, self.decoded = (
            keras.layers.LayerNormalization(epsilon=1e-6, name=name, **kind) for name in ("encoded", "decoded")
        )
        self.drop = keras.layers.Dropout(self.dropout, name="drop", **kind)
        for part in (self.source_places, self.target_places, *self.encoder, *self.decoder, self.encoded, self.decoded):
            part.build(shape)

    def call(self, tokens: Any, training: bool | None = None) -> Any:
        memory, real = self._read(tokens[:, : self.source_length], training)
        x = self.target_places(self._embed(tokens[:, self.source_length :]))
        x = self.drop(x, training=training)
        for block in self.decoder:
            x = block(x, memory=memory, memory_visible=real, training=training)
        return self._logits(x)

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (shape[0], self.target_length, self.vocabulary)

    def encode(self, source: Any) -> Memory:
        """The memory of a source, int32 [n, source_length], for ``step``."""
        x, real = self._read(source, False)
        return [block.memory_cache(x) for block in self.decoder], real

    def empty_cache(self, n: Any) -> list[Cache]:
        """The cache of ``step`` before the first token of ``n`` targets."""
        return [block.empty_cache(n, self.target_length) for block in self.decoder]

    def step(self, last: Any, position: Any, memory: Memory, cache: list[Cache]) -> tuple[Any, list[Cache]]:
        """Logits of the next token, float32 [n, vocabulary], and the updated cache.

        Args:
            last: the last token of each target, int32 [n]; START first.
            position: of the last token, a scalar from 0.
        """
        x = self.target_places(self._embed(last[:, None]), start=position)
        updated = []
        for block, keys_values, past in zip(self.decoder, memory[0], cache, strict=True):
            x, present = block.step(x, past, position, memory=keys_values, memory_visible=memory[1])
            updated.append(present)
        return self._logits(x)[:, 0], updated

    def _read(self, source: Any, training: bool | None) -> tuple[Any, Any]:
        """The encoder's output, [n, source_length, width], and which positions are not padding."""
        real = ops.not_equal(source, PAD)
        x = self.drop(self.source_places(self._embed(source)), training=training)
        for block in self.encoder:
            x = block(x, visible=real, training=training)
        return self.encoded(x), real

    def _embed(self, tokens: Any) -> Any:
        return ops.cast(ops.take(self.embedding, tokens, axis=0) * self.width**0.5, self.compute_dtype)

    def _logits(self, x: Any) -> Any:
        x = self.decoded(x)
        # float32 in every precision: softmax and loss need it.
        return ops.cast(ops.matmul(x, ops.transpose(ops.cast(self.embedding, x.dtype))), "float32")

    def get_config(self) -> dict[str, Any]:
        names = ("source_length", "target_length", "pieces", "width", "heads", "layers", "hidden", "dropout")
        own = {name: getattr(self, name) for name in (*names, "label_smoothing")}
        config: dict[str, Any] = super().get_config() | own | {"pieces": list(self.pieces)}
        return config
