"""Layers of networks that read texts as ids of words."""

from collections.abc import Sequence
from typing import Any

import keras


@keras.saving.register_keras_serializable("suanli")
class Vocabulary(keras.layers.Layer):
    """Returns the ids of words unchanged; its config stores the words in the ``.keras`` file."""

    def __init__(self, words: Sequence[str], **settings: Any) -> None:
        """``words`` are in the order of their ids (components/text/words.py)."""
        super().__init__(**settings)
        self.words = list(words)

    def call(self, numbers: Any) -> Any:
        return numbers

    def compute_output_spec(self, numbers: Any) -> Any:
        return keras.KerasTensor(numbers.shape, dtype=numbers.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "words": self.words}


def vocabulary_words(network: keras.Model) -> list[str]:
    """The words of a network's ``Vocabulary``; empty if it has none."""
    return next((layer.words for layer in network.layers if isinstance(layer, Vocabulary)), [])


@keras.saving.register_keras_serializable("suanli")
class MaskedMean(keras.layers.Layer):
    """The mean over the visible positions of a sequence; 0 if there are none."""

    def call(self, x: Any, visible: Any) -> Any:
        """The mean [batch, width] of ``x``, float [batch, length, width], where ``visible``, bool [batch, length]."""
        weights = keras.ops.cast(visible, "float32")[..., None]
        total = keras.ops.sum(keras.ops.cast(x, "float32") * weights, axis=1)
        return keras.ops.cast(total / keras.ops.maximum(keras.ops.sum(weights, axis=1), 1.0), x.dtype)
