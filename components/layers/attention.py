"""Attention and Transformer blocks: a whole sequence at once, or token after token with a key-value cache.

What has been seen lies in a cache of a fixed shape, so a loop over tokens compiles as one graph (tf.while_loop, jax).
"""

from functools import partial
from typing import Any, Literal

import keras
from keras import ops

# Added to the logits of places that must not be looked at: far below any logit, and finite in every precision.
HIDDEN = -1e9
# The longest wavelength of the sinusoids is 2 pi times this (Vaswani et al., 2017, arXiv:1706.03762, 3.5).
LONGEST = 10_000

# GPT-2's, which Keras has no name for: x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).
ACTIVATIONS = {"gelu_tanh": partial(keras.activations.gelu, approximate=True)}

# Keys and values, each [n, heads, length, size of a head].
Cache = tuple[Any, Any]


@keras.saving.register_keras_serializable("suanli")
class Positions(keras.layers.Layer):
    """Adds its position's vector to each place of a sequence, [n, length, width] -> the same shape.

    Args:
        length: the longest sequence.
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
            start: the position of the first place, a scalar integer; None is 0.
        """
        places = ops.shape(x)[1]
        if start is None:
            return x + ops.cast(self.table[:places], x.dtype)
        taken = ops.slice(ops.convert_to_tensor(self.table), (start, 0), (places, self.table.shape[1]))
        return x + ops.cast(taken, x.dtype)

    def empty(self, n: Any, length: int) -> Any:
        """Nothing is kept from step to step."""
        return ()

    def step(self, x: Any, cache: Any, position: Any) -> tuple[Any, Any]:
        """Add the vectors to the next places, of which the first is at a position."""
        return self(x, start=position), cache

    def compute_output_shape(self, input_shape: Any, *_: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = super().get_config() | {"length": self.length, "kind": self.kind}
        return config


def sinusoids(length: int, width: int) -> Any:
    """Sines in the even columns, cosines in the odd ones, float32 [length, width]."""
    column = ops.arange(width)
    rate = ops.power(float(LONGEST), -ops.cast(column // 2 * 2, "float32") / width)
    angle = ops.arange(length, dtype="float32")[:, None] * rate[None]
    return ops.where(column % 2 == 0, ops.sin(angle), ops.cos(angle))


@keras.saving.register_keras_serializable("suanli")
class Attention(keras.layers.Layer):
    """Multi-head scaled dot-product attention of a sequence to itself or to another one, the memory.

    Args:
        heads: how many; they share the width evenly.
        causal: whether a place sees only those up to its own.
        dropout: fraction of the attention weights that training drops.
        hidden: added to the logits of places that must not be looked at. What is quantized to 8 bits wants it near the
            others: -30 leaves a place 1e-13 of another's weight, and 255 steps for the logits that count.
    """

    def __init__(
        self, heads: int, causal: bool = False, dropout: float = 0.0, hidden: float = HIDDEN, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.heads, self.causal, self.dropout, self.hidden = heads, causal, dropout, hidden

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.width = int(input_shape[-1] or 0)
        if self.width % self.heads:
            raise ValueError(f"a width of {self.width} cannot be shared out over {self.heads} heads")
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
            memory: what is attended to, [n, memory length, width]; None for ``x`` itself.
            visible: bool [n, memory length], which places of the memory are real; None for all.

        Returns:
            [n, length, width].
        """
        allowed = None if visible is None else visible[:, None, None, :]
        if self.causal:
            below = _up_to(ops.arange(ops.shape(x)[1]), ops.shape(x)[1])
            allowed = below if allowed is None else ops.logical_and(allowed, below)
        return self.attend(x, self.keys_values(x if memory is None else memory), allowed, training)

    def keys_values(self, memory: Any) -> Cache:
        """What a memory [n, length, width] is attended to by: a full cache of it."""
        keys, values = ops.split(self.key_value(memory), 2, axis=-1)
        return self._by_head(keys), self._by_head(values)

    def empty(self, n: Any, length: int) -> Cache:
        """A cache without anything in it."""
        shape = (n, self.heads, length, self.width // self.heads)
        return ops.zeros(shape, self.compute_dtype), ops.zeros(shape, self.compute_dtype)

    def step(self, x: Any, cache: Cache, position: Any) -> tuple[Any, Cache]:
        """Causal self-attention of the next places, all that was seen being in the cache.

        Args:
            x: [n, new, width].
            position: of the first of them, a scalar integer.

        Returns:
            [n, new, width], and the cache with them in it.
        """
        cache = tuple(
            ops.slice_update(old, (0, 0, position, 0), new) for old, new in zip(cache, self.keys_values(x), strict=True)
        )
        places = position + ops.arange(ops.shape(x)[1])
        return self.attend(x, cache, _up_to(places, cache[0].shape[2])), cache

    def attend(self, x: Any, cache: Cache, allowed: Any = None, training: bool | None = None) -> Any:
        """Attend from [n, length, width] to keys and values.

        Args:
            allowed: what may be looked at, bool that fits [n, heads, length, memory length]; None for everything.
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


def _up_to(places: Any, length: Any) -> Any:
    """Which of ``length`` positions each place [m] sees, itself and those before it: bool [m, length]."""
    return ops.arange(length)[None, :] <= places[:, None]


@keras.saving.register_keras_serializable("suanli")
class Block(keras.layers.Layer):
    """A Transformer block with the norm before each part (Xiong et al., 2020, arXiv:2002.04745): self-attention, then
    attention to a memory where ``cross`` is set, then a feed-forward network; each is added to what came in.

    Args:
        heads: attention heads.
        hidden: units between the two dense layers of the feed-forward network.
        causal: whether a place sees only those up to its own.
        cross: whether there is a memory, such as an encoder's output.
        dropout: fraction that training drops of each part's outputs.
        activation: between the two dense layers: a name that Keras knows, or one in ACTIVATIONS.
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
            memory: [n, memory length, width] where ``cross`` is set.
            visible: bool [n, length], which places of ``x`` are real; None for all.
            memory_visible: bool [n, memory length], the same of the memory.
        """
        x = x + self.drop(self.attention(self.norm(x), visible=visible, training=training), training=training)
        if self.cross:
            seen = self.cross_attention(self.cross_norm(x), memory=memory, visible=memory_visible, training=training)
            x = x + self.drop(seen, training=training)
        return x + self.drop(self._fed(x), training=training)

    def _fed(self, x: Any) -> Any:
        return self.narrow(self.widen(self.feed_norm(x)))

    def empty(self, n: Any, length: int) -> Cache:
        """The cache of ``step`` before the first token, for ``n`` sequences of at most ``length`` tokens."""
        return self.attention.empty(n, length)

    def memory_cache(self, memory: Any) -> Cache:
        """What ``step`` needs of a memory [n, memory length, width]; made once, it serves every step."""
        return self.cross_attention.keys_values(memory)

    def step(
        self, x: Any, cache: Cache, position: Any, memory: Cache | None = None, memory_visible: Any = None
    ) -> tuple[Any, Cache]:
        """The block, causal, over the next tokens only.

        Args:
            x: [n, new, width].
            cache: ``empty``'s, or what the last step gave.
            position: of the first of the new tokens, a scalar integer.
            memory: ``memory_cache``'s, where ``cross`` is set.
            memory_visible: bool [n, memory length].

        Returns:
            [n, new, width], and the cache with the new tokens in it.
        """
        seen, cache = self.attention.step(self.norm(x), cache, position)
        x = x + seen
        if self.cross:
            allowed = None if memory_visible is None else memory_visible[:, None, None, :]
            x = x + self.cross_attention.attend(self.cross_norm(x), memory, allowed)  # type: ignore[arg-type]
        return x + self._fed(x), cache

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
