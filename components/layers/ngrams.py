"""An embedding of a token together with the few before it."""

from typing import Any

import keras
from keras import ops

# Keeps a hash of two factors below 2^31 for up to MOST buckets: int32 is what every exported format computes in.
FACTOR, MOST = 9973, 2**17


@keras.saving.register_keras_serializable("suanli")
class NGramEmbedding(keras.layers.Layer):
    """The vector of each token, plus a projection of the vectors of the n-grams that end there, found by a hash.

    Bytes say little alone: what n-grams follow what is learned in a table instead of in the first blocks (Pagnoni et
    al., 2024, arXiv:2412.09871, 3.2.1). int32 [n, length] -> [n, length, width].

    Args:
        tokens: how many different tokens; the last one stands for what is before the first place.
        width: of the result.
        orders: lengths of the n-grams, 2 or more each; empty for tokens alone.
        buckets: rows of the table for each length; n-grams of equal hash share one.
        size: of an n-gram's vector.
    """

    def __init__(
        self, tokens: int, width: int, orders: tuple[int, ...] = (), buckets: int = 2**15, size: int = 32, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if buckets > MOST:
            raise ValueError(f"{buckets} buckets are more than {MOST}")
        self.tokens, self.width, self.orders = tokens, width, tuple(orders)
        self.buckets, self.size = buckets, size
        self.before = max(self.orders, default=1) - 1

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.embedding = keras.layers.Embedding(
            self.tokens, self.width, keras.initializers.RandomNormal(stddev=0.02), dtype=self.dtype_policy, name="token"
        )
        self.embedding.build(input_shape)
        if self.orders:
            # Looked up before it is cast: a cast of the whole table would cost more than the look-up.
            self.table = self.add_weight(
                shape=(len(self.orders) * self.buckets, self.size), initializer="zeros", autocast=False, name="table"
            )
            self.projection = keras.layers.Dense(self.width, use_bias=False, dtype=self.dtype_policy, name="projection")
            self.projection.build((None, None, len(self.orders) * self.size))

    def call(self, x: Any) -> Any:
        return self._embedded(ops.pad(x, ((0, 0), (self.before, 0)), constant_values=self.tokens - 1), ops.shape(x)[1])

    def empty(self, n: Any, length: int) -> Any:
        """The cache of ``step``: the tokens themselves, int32 [n, before + length]."""
        return ops.full((n, self.before + length), self.tokens - 1, "int32")

    def step(self, x: Any, cache: Any, position: Any) -> tuple[Any, Any]:
        """The vectors of the next tokens, int32 [n, new], the first of which is at a position; and the new cache."""
        cache = ops.slice_update(cache, (0, self.before + position), x)
        places = ops.shape(x)[1]
        return self._embedded(ops.slice(cache, (0, position), (ops.shape(x)[0], self.before + places)), places), cache

    def _embedded(self, line: Any, places: Any) -> Any:
        """The vectors of the last ``places`` of the tokens [n, before + places]."""
        last = line[:, self.before :]
        found = self.embedding(last)
        if not self.orders:
            return found
        rows, hashed = [], last
        for back in range(1, self.before + 1):
            earlier = line[:, self.before - back : self.before - back + places]
            hashed = ops.mod(hashed * FACTOR + earlier + 1, self.buckets)
            if back + 1 in self.orders:
                rows.append(hashed + self.orders.index(back + 1) * self.buckets)
        vectors = ops.take(self.table, ops.stack(rows, axis=-1), axis=0)
        flat = ops.reshape(vectors, (-1, places, len(self.orders) * self.size))
        return found + self.projection(flat)

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
