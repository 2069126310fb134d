"""Layers of networks that read texts as numbers of words."""

from collections.abc import Sequence
from typing import Any

import keras


@keras.saving.register_keras_serializable("suanli")
class Vocabulary(keras.layers.Layer):
    """Hands on the numbers of words as they are; it is the ``.keras`` file's place for the words themselves."""

    def __init__(self, words: Sequence[str], **settings: Any) -> None:
        """For words in the order of their numbers (components/text/words.py)."""
        super().__init__(**settings)
        self.words = list(words)

    def call(self, numbers: Any) -> Any:
        """Integers [batch, length], unchanged."""
        return numbers

    def compute_output_spec(self, numbers: Any) -> Any:
        """The input's shape and type."""
        return keras.KerasTensor(numbers.shape, dtype=numbers.dtype)

    def get_config(self) -> dict[str, Any]:
        """The words, too."""
        return {**super().get_config(), "words": self.words}


def words_of(network: keras.Model) -> list[str]:
    """The words that a network's ``Vocabulary`` holds; empty where it has none."""
    return next((layer.words for layer in network.layers if isinstance(layer, Vocabulary)), [])


@keras.saving.register_keras_serializable("suanli")
class MaskedMean(keras.layers.Layer):
    """The mean over the visible places of a sequence; 0 where there are none."""

    def call(self, x: Any, visible: Any) -> Any:
        """The mean.

        Args:
            x: float [batch, length, width].
            visible: bool [batch, length].

        Returns:
            Float [batch, width].
        """
        kept = keras.ops.cast(visible, "float32")[..., None]
        total = keras.ops.sum(keras.ops.cast(x, "float32") * kept, axis=1)
        return keras.ops.cast(total / keras.ops.maximum(keras.ops.sum(kept, axis=1), 1.0), x.dtype)
