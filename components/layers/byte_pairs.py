"""The vocabulary of a network over byte pairs, as part of the saved model."""

from typing import Any

import keras


@keras.saving.register_keras_serializable("suanli")
class BytePairVocabulary(keras.layers.Layer):
    """Returns its tokens unchanged; its config holds the vocabulary.

    Args:
        vocabulary: the tokens as letters, in the order of their ids.
        merges: two tokens joined by a space, by priority.
    """

    def __init__(self, vocabulary: list[str], merges: list[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.vocabulary, self.merges = list(vocabulary), list(merges)

    def call(self, x: Any) -> Any:
        return x

    def vocabulary_assets(self) -> dict[str, Any]:
        """The assets for ``components.text.vocabulary.from_assets``."""
        return {"tokens": "byte pairs", "vocabulary": self.vocabulary, "merges": self.merges}

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = super().get_config() | {"vocabulary": self.vocabulary, "merges": self.merges}
        return config
