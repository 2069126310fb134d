"""The Transformer that reads one sentence and writes another (A. Vaswani et al., 2017, arXiv:1706.03762)."""

from typing import Any

import keras
from keras import ops

from components.layers.attention import Block, Cache, Positions
from components.text.subwords import FIRST_PIECE, PAD

# Of the encoder's output: for each layer of the decoder keys and values, and which places hold tokens.
Memory = tuple[list[Cache], Any]


@keras.saving.register_keras_serializable("suanli")
class EncoderDecoder(keras.layers.Layer):
    """Source tokens and the target tokens so far, to logits of the next target token.

    Its input is one tensor, int32 [n, source_length + target_length]: the source, ended by END and filled up with PAD,
    then the target as the decoder sees it, which begins with START. Its output is float32 [n, target_length,
    vocabulary]: at each place the logits of the next token. Tokens are those of ``components.text.subwords``;
    source, target and output share one embedding.

    ``call`` computes all places of a known target at once. To write one, ``encode`` reads the source, and ``step`` adds
    one token after the other, with keys and values of all earlier ones kept.

    Args:
        pieces: what the tokens beyond the bytes stand for, so that the model's file tells it.
        width: of a place's vector.
        layers: of the encoder, and as many of the decoder.
        hidden: units between the two dense layers of each block.
        label_smoothing: of the loss that trains it, so that the model's file tells it.
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

    def build(self, shape: tuple[int | None, ...]) -> None:
        kind, whole = {"dtype": self.dtype_policy}, (None, None, self.width)
        # Of variance 1 / width: the logits, whose matrix it is too, then begin with a variance of about 1.
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
            part.build(whole)

    def call(self, tokens: Any, training: bool | None = None) -> Any:
        memory, real = self._read(tokens[:, : self.source_length], training)
        x = self.target_places(self._embedded(tokens[:, self.source_length :]))
        x = self.drop(x, training=training)
        for block in self.decoder:
            x = block(x, memory=memory, memory_visible=real, training=training)
        return self._logits(x)

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (shape[0], self.target_length, self.vocabulary)

    def encode(self, source: Any) -> Memory:
        """What ``step`` needs of a source, int32 [n, source_length]."""
        x, real = self._read(source, False)
        return [block.memory_cache(x) for block in self.decoder], real

    def empty(self, n: Any) -> list[Cache]:
        """The cache of ``n`` targets of which nothing is written."""
        return [block.empty(n, self.target_length) for block in self.decoder]

    def step(self, last: Any, place: Any, memory: Memory, cache: list[Cache]) -> tuple[Any, list[Cache]]:
        """Logits of the token that follows, float32 [n, vocabulary], and the cache with ``last`` in it.

        Args:
            last: the last token of each target, int32 [n]; START first.
            place: its place in the target, a scalar from 0.
        """
        x = self.target_places(self._embedded(last[:, None]), start=place)
        kept = []
        for block, seen, past in zip(self.decoder, memory[0], cache, strict=True):
            x, present = block.step(x, past, place, memory=seen, memory_visible=memory[1])
            kept.append(present)
        return self._logits(x)[:, 0], kept

    def _read(self, source: Any, training: bool | None) -> tuple[Any, Any]:
        """A source as the decoder sees it, [n, source_length, width], and which places hold tokens."""
        real = ops.not_equal(source, PAD)
        x = self.drop(self.source_places(self._embedded(source)), training=training)
        for block in self.encoder:
            x = block(x, visible=real, training=training)
        return self.encoded(x), real

    def _embedded(self, tokens: Any) -> Any:
        return ops.cast(ops.take(self.embedding, tokens, axis=0) * self.width**0.5, self.compute_dtype)

    def _logits(self, x: Any) -> Any:
        x = self.decoded(x)
        # float32 whatever the precision: softmax and loss need the digits.
        return ops.cast(ops.matmul(x, ops.transpose(ops.cast(self.embedding, x.dtype))), "float32")

    def get_config(self) -> dict[str, Any]:
        names = ("source_length", "target_length", "pieces", "width", "heads", "layers", "hidden", "dropout")
        own = {name: getattr(self, name) for name in (*names, "label_smoothing")}
        config: dict[str, Any] = super().get_config() | own | {"pieces": list(self.pieces)}
        return config
