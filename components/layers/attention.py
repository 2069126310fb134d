"""Attention and Transformer blocks, over a whole sequence or token by token with a key-value cache.

The cache has a fixed shape, so a loop over tokens compiles to one graph (tf.while_loop, jax).
"""

from functools import partial
from typing import Any, Literal

import keras
from keras import ops

# Added to the logits of masked positions: far below any logit, and finite in every precision.
HIDDEN = -1e9
# The longest wavelength of the sinusoids, in units of 2 pi (Vaswani et al., 2017, arXiv:1706.03762, 3.5).
MAX_WAVELENGTH = 10_000

# GPT-2's, for which Keras has no name: x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).
ACTIVATIONS = {"gelu_tanh": partial(keras.activations.gelu, approximate=True)}

# Keys and values, each [n, heads, length, size of a head].
Cache = tuple[Any, Any]


@keras.saving.register_keras_serializable("suanli")
class Positions(keras.layers.Layer):
    """Adds a vector for each position of a sequence, [n, length, width] -> the same shape.

    Args:
        length: of the longest sequence.
        kind: ``learned``, or ``sinusoidal``: sines and cosines of wavelengths from 2 pi to 10,000 times 2 pi.
    """

    def __init__(self, length: int, kind: Literal["learned", "sinusoidal"] = "learned", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.length, self.kind = length, kind
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        width = int(input_shape[-1] or 0)
        if self.kind == "learned":
            start: Any = keras.initializers.RandomNormal(stddev=0.02)
        else:
            start = lambda shape, dtype: ops.cast(sinusoids(*shape), dtype)  # noqa: E731
        self.table = self.add_weight(
            shape=(self.length, width), initializer=start, trainable=self.kind == "learned", name="table"
        )

    def call(self, x: Any, start: Any = None) -> Any:
        """Add the vectors.

        Args:
            start: the position of the first vector of ``x``, a scalar integer; None is 0.
        """
        length = ops.shape(x)[1]
        if start is None:
            return x + ops.cast(self.table[:length], x.dtype)
        vectors = ops.slice(ops.convert_to_tensor(self.table), (start, 0), (length, self.table.shape[1]))
        return x + ops.cast(vectors, x.dtype)

    def empty_cache(self, n: Any, length: int) -> Any:
        """This layer needs no cache."""
        return ()

    def step(self, x: Any, cache: Any, position: Any) -> tuple[Any, Any]:
        """Add the vectors of the next positions, from ``position`` on."""
        return self(x, start=position), cache

    def compute_output_shape(self, input_shape: Any, *_: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = super().get_config() | {"length": self.length, "kind": self.kind}
        return config


def sinusoids(length: int, width: int) -> Any:
    """Sines in the even columns and cosines in the odd ones, float32 [length, width]."""
    column = ops.arange(width)
    rate = ops.power(float(MAX_WAVELENGTH), -ops.cast(column // 2 * 2, "float32") / width)
    angle = ops.arange(length, dtype="float32")[:, None] * rate[None]
    return ops.where(column % 2 == 0, ops.sin(angle), ops.cos(angle))


@keras.saving.register_keras_serializable("suanli")
class Attention(keras.layers.Layer):
    """Multi-head scaled dot-product attention of a sequence to itself or to another one, the memory.

    Args:
        heads: number of heads, which share the width evenly.
        causal: whether each position attends only to itself and those before it.
        dropout: rate on the attention weights in training.
        hidden: added to the logits of masked positions. For quantization to 8 bits it should be near the logits: -30
            leaves a masked position 1e-13 of another's weight, and the logits most of the 255 steps.
    """

    def __init__(
        self, heads: int, causal: bool = False, dropout: float = 0.0, hidden: float = HIDDEN, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.heads, self.causal, self.dropout, self.hidden = heads, causal, dropout, hidden

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.width = int(input_shape[-1] or 0)
        if self.width % self.heads:
            raise ValueError(f"a width of {self.width} cannot be divided among {self.heads} heads")
        shared = {"dtype": self.dtype_policy}
        self.query = keras.layers.Dense(self.width, name="query", **shared)
        self.key_value = keras.layers.Dense(2 * self.width, name="key_value", **shared)
        self.output_dense = keras.layers.Dense(self.width, name="output", **shared)
        self.drop = keras.layers.Dropout(self.dropout, name="drop", **shared)
        for layer in (self.query, self.key_value, self.output_dense):
            layer.build((None, None, self.width))

    def call(self, x: Any, memory: Any = None, visible: Any = None, training: bool | None = None) -> Any:
        """Attend.

        Args:
            x: [n, length, width].
            memory: the sequence to attend to, [n, memory length, width]; None for ``x`` itself.
            visible: bool [n, memory length], which positions of the memory are not padding; None for all.

        Returns:
            [n, length, width].
        """
        allowed = None if visible is None else visible[:, None, None, :]
        if self.causal:
            below = _up_to(ops.arange(ops.shape(x)[1]), ops.shape(x)[1])
            allowed = below if allowed is None else ops.logical_and(allowed, below)
        return self.attend(x, self.keys_values(x if memory is None else memory), allowed, training)

    def keys_values(self, memory: Any) -> Cache:
        """Keys and values of a memory [n, length, width]: a full cache."""
        keys, values = ops.split(self.key_value(memory), 2, axis=-1)
        return self._by_head(keys), self._by_head(values)

    def empty_cache(self, n: Any, length: int) -> Cache:
        shape = (n, self.heads, length, self.width // self.heads)
        return ops.zeros(shape, self.compute_dtype), ops.zeros(shape, self.compute_dtype)

    def step(self, x: Any, cache: Cache, position: Any) -> tuple[Any, Cache]:
        """Causal self-attention of the next positions to themselves and to those in the cache.

        Args:
            x: [n, new, width].
            position: of the first of them, a scalar integer.

        Returns:
            [n, new, width], and the updated cache.
        """
        cache = tuple(
            ops.slice_update(old, (0, 0, position, 0), new) for old, new in zip(cache, self.keys_values(x), strict=True)
        )
        positions = position + ops.arange(ops.shape(x)[1])
        return self.attend(x, cache, _up_to(positions, cache[0].shape[2])), cache

    def attend(self, x: Any, cache: Cache, allowed: Any = None, training: bool | None = None) -> Any:
        """Attend from [n, length, width] to keys and values.

        Args:
            allowed: the mask, bool, broadcast to [n, heads, length, memory length]; None for no mask.
        """
        keys, values = cache
        query = self._by_head(self.query(x)) * (self.width // self.heads) ** -0.5
        logits = ops.matmul(query, ops.swapaxes(keys, 2, 3))
        if allowed is not None:
            logits = logits + ops.cast(ops.where(allowed, 0.0, self.hidden), logits.dtype)
        weights = self.drop(ops.softmax(logits), training=training)
        mixed = ops.swapaxes(ops.matmul(weights, values), 1, 2)
        return self.output_dense(ops.reshape(mixed, (-1, ops.shape(x)[1], self.width)))

    def _by_head(self, x: Any) -> Any:
        """[n, length, width] -> [n, heads, length, size of a head]."""
        split = ops.reshape(x, (-1, ops.shape(x)[1], self.heads, self.width // self.heads))
        return ops.swapaxes(split, 1, 2)

    def compute_output_shape(self, input_shape: Any, *_: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = super().get_config() | {
            "heads": self.heads,
            "causal": self.causal,
            "dropout": self.dropout,
            "hidden": self.hidden,
        }
        return config


def _up_to(positions: Any, length: Any) -> Any:
    """The causal mask of ``positions`` [m] over ``length`` positions, bool [m, length]."""
    return ops.arange(length)[None, :] <= positions[:, None]


@keras.saving.register_keras_serializable("suanli")
class Block(keras.layers.Layer):
    """A pre-norm Transformer block (Xiong et al., 2020, arXiv:2002.04745): self-attention, attention to a memory if
    ``cross``, and a feed-forward network, each with a residual connection.

    Args:
        heads: attention heads.
        hidden: units between the two dense layers of the feed-forward network.
        causal: whether each position attends only to itself and those before it.
        cross: whether there is a memory, such as an encoder's output.
        dropout: rate on the outputs of each part in training.
        activation: between the two dense layers: Keras's name of it, or one of ACTIVATIONS.
        unseen: ``hidden`` of the attention.
    """

    def __init__(
        self,
        heads: int,
        hidden: int,
        causal: bool = False,
        cross: bool = False,
        dropout: float = 0.0,
        activation: str = "gelu",
        unseen: float = HIDDEN,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.heads, self.hidden, self.causal, self.cross = heads, hidden, causal, cross
        self.dropout, self.activation, self.unseen = dropout, activation, unseen

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        width, shared = int(input_shape[-1] or 0), {"dtype": self.dtype_policy}
        self.norm = keras.layers.LayerNormalization(epsilon=1e-5, name="norm", **shared)
        self.attention = Attention(self.heads, self.causal, hidden=self.unseen, name="attention", **shared)
        if self.cross:
            self.cross_norm = keras.layers.LayerNormalization(epsilon=1e-5, name="cross_norm", **shared)
            self.cross_attention = Attention(self.heads, hidden=self.unseen, name="cross_attention", **shared)
        self.feed_norm = keras.layers.LayerNormalization(epsilon=1e-5, name="feed_norm", **shared)
        activation = ACTIVATIONS.get(self.activation, self.activation)
        self.widen = keras.layers.Dense(self.hidden, activation=activation, name="widen", **shared)
        self.narrow = keras.layers.Dense(width, name="narrow", **shared)
        self.drop = keras.layers.Dropout(self.dropout, name="drop", **shared)
        shape = (None, None, width)
        for layer in (self.norm, self.attention, self.feed_norm, self.widen):
            layer.build(shape)
        self.narrow.build((None, None, self.hidden))
        if self.cross:
            self.cross_norm.build(shape)
            self.cross_attention.build(shape)

    def call(
        self,
        x: Any,
        memory: Any = None,
        visible: Any = None,
        memory_visible: Any = None,
        training: bool | None = None,
    ) -> Any:
        """The block over whole sequences.

        Args:
            x: [n, length, width].
            memory: [n, memory length, width] if ``cross``.
            visible: bool [n, length], which positions of ``x`` are not padding; None for all.
            memory_visible: bool [n, memory length], the same for the memory.
        """
        x = x + self.drop(self.attention(self.norm(x), visible=visible, training=training), training=training)
        if self.cross:
            crossed = self.cross_attention(self.cross_norm(x), memory=memory, visible=memory_visible, training=training)
            x = x + self.drop(crossed, training=training)
        return x + self.drop(self._feed_forward(x), training=training)

    def _feed_forward(self, x: Any) -> Any:
        return self.narrow(self.widen(self.feed_norm(x)))

    def empty_cache(self, n: Any, length: int) -> Cache:
        """The cache of ``step`` before the first token, for ``n`` sequences of at most ``length`` tokens."""
        return self.attention.empty_cache(n, length)

    def memory_cache(self, memory: Any) -> Cache:
        """Keys and values of a memory [n, memory length, width], the same for every step."""
        return self.cross_attention.keys_values(memory)

    def step(
        self, x: Any, cache: Cache, position: Any, memory: Cache | None = None, memory_visible: Any = None
    ) -> tuple[Any, Cache]:
        """The causal block over the next tokens only.

        Args:
            x: [n, new, width].
            cache: from ``empty_cache`` or the last step.
            position: of the first new token, a scalar integer.
            memory: from ``memory_cache``, if ``cross``.
            memory_visible: bool [n, memory length].

        Returns:
            [n, new, width], and the updated cache.
        """
        attended, cache = self.attention.step(self.norm(x), cache, position)
        x = x + attended
        if self.cross:
            allowed = None if memory_visible is None else memory_visible[:, None, None, :]
            x = x + self.cross_attention.attend(self.cross_norm(x), memory, allowed)  # type: ignore[arg-type]
        return x + self._feed_forward(x), cache

    def compute_output_shape(self, input_shape: Any, *_: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = super().get_config() | {
            "heads": self.heads,
            "hidden": self.hidden,
            "causal": self.causal,
            "cross": self.cross,
            "dropout": self.dropout,
            "activation": self.activation,
            "unseen": self.unseen,
        }
        return config
