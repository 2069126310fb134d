"""The vocabulary of a network whose tokens are pairs of bytes, merged: it lies in the saved model."""

from typing import Any

import keras


@keras.saving.register_keras_serializable("suanli")
class BytePairVocabulary(keras.layers.Layer):
    """Passes tokens on and knows what they are.

    Args:
        vocabulary: each token's letters, in the order of the numbers.
        merges: two tokens with a space between them, the first merged first.
    """

    def __init__(self, vocabulary: list[str], merges: list[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.vocabulary, self.merges = list(vocabulary), list(merges)

    def call(self, x: Any) -> Any:
        return x

    def vocabulary_assets(self) -> dict[str, Any]:
        """What components.text.vocabulary makes tokens by."""
        return {"tokens": "byte pairs", "vocabulary": self.vocabulary, "merges": self.merges}

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = super().get_config() | {"vocabulary": self.vocabulary, "merges": self.merges}
        return config
