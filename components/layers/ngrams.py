"""Embedding of tokens and of the n-grams that they end."""

from typing import Any

import keras
from keras import ops

# The hash of a bucket stays below 2^31 with up to MAX_BUCKETS: every exported format computes in int32.
FACTOR, MAX_BUCKETS = 9973, 2**17


@keras.saving.register_keras_serializable("suanli")
class NGramEmbedding(keras.layers.Layer):
    """The vector of each token, plus a projection of the vectors of the n-grams that end there, looked up by a hash.

    A byte alone says little; a table learns n-grams that the first blocks would otherwise have to learn (Pagnoni et
    al., 2024, arXiv:2412.09871, 3.2.1). int32 [n, length] -> [n, length, width].

    Args:
        tokens: size of the vocabulary; its last token pads before the first position.
        width: of the result.
        orders: lengths of the n-grams, each at least 2; empty for tokens alone.
        buckets: rows of the table for each order; n-grams of equal hash share one.
        size: of an n-gram's vector.
    """

    def __init__(
        self, tokens: int, width: int, orders: tuple[int, ...] = (), buckets: int = 2**15, size: int = 32, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if buckets > MAX_BUCKETS:
            raise ValueError(f"{buckets} buckets are more than {MAX_BUCKETS}")
        self.tokens, self.width, self.orders = tokens, width, tuple(orders)
        self.buckets, self.size = buckets, size
        self.before = max(self.orders, default=1) - 1

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.embedding = keras.layers.Embedding(
            self.tokens, self.width, keras.initializers.RandomNormal(stddev=0.02), dtype=self.dtype_policy, name="token"
        )
        self.embedding.build(input_shape)
        if self.orders:
            # Cast after the look-up: a cast of the whole table would cost more than the look-up.
            self.table = self.add_weight(
                shape=(len(self.orders) * self.buckets, self.size), initializer="zeros", autocast=False, name="table"
            )
            self.projection = keras.layers.Dense(self.width, use_bias=False, dtype=self.dtype_policy, name="projection")
            self.projection.build((None, None, len(self.orders) * self.size))

    def call(self, x: Any) -> Any:
        return self._embed(ops.pad(x, ((0, 0), (self.before, 0)), constant_values=self.tokens - 1), ops.shape(x)[1])

    def empty_cache(self, n: Any, length: int) -> Any:
        """The cache of ``step``: the tokens themselves, int32 [n, before + length]."""
        return ops.full((n, self.before + length), self.tokens - 1, "int32")

    def step(self, x: Any, cache: Any, position: Any) -> tuple[Any, Any]:
        """The vectors of the next tokens, int32 [n, new], from ``position`` on, and the updated cache."""
        cache = ops.slice_update(cache, (0, self.before + position), x)
        new = ops.shape(x)[1]
        return self._embed(ops.slice(cache, (0, position), (ops.shape(x)[0], self.before + new)), new), cache

    def _embed(self, line: Any, length: Any) -> Any:
        """The vectors of the last ``length`` tokens of [n, before + length]."""
        last = line[:, self.before :]
        embedded = self.embedding(last)
        if not self.orders:
            return embedded
        rows, hashed = [], last
        for back in range(1, self.before + 1):
            earlier = line[:, self.before - back : self.before - back + length]
            hashed = ops.mod(hashed * FACTOR + earlier + 1, self.buckets)
            if back + 1 in self.orders:
                rows.append(hashed + self.orders.index(back + 1) * self.buckets)
        vectors = ops.take(self.table, ops.stack(rows, axis=-1), axis=0)
        flat = ops.reshape(vectors, (-1, length, len(self.orders) * self.size))
        return embedded + self.projection(flat)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape, self.width)

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = super().get_config() | {
            "tokens": self.tokens,
            "width": self.width,
            "orders": list(self.orders),
            "buckets": self.buckets,
            "size": self.size,
        }
        return config
