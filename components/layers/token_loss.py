"""Loss and accuracy of sequences of tokens, without padding."""

from typing import Any

import keras
from keras import ops

from components.text.subwords import PAD


@keras.saving.register_keras_serializable("suanli")
class TokenLoss(keras.losses.Loss):
    """Mean cross-entropy over the tokens of a batch that are not padding.

    Args:
        label_smoothing: share of the target probability that is spread over all tokens (C. Szegedy et al., 2016,
            arXiv:1512.00567, 7).
    """

    def __init__(self, label_smoothing: float = 0.0, name: str = "token_loss") -> None:
        super().__init__(name=name)
        self.label_smoothing = label_smoothing

    def call(self, targets: Any, logits: Any) -> Any:
        """Losses, float32 [n, length], whose mean is the mean over tokens.

        Args:
            targets: integers [n, length].
            logits: [n, length, vocabulary].
        """
        losses = keras.losses.sparse_categorical_crossentropy(targets, logits, from_logits=True)
        if self.label_smoothing:
            uniform = ops.logsumexp(logits, axis=-1) - ops.mean(logits, axis=-1)
            losses = (1 - self.label_smoothing) * losses + self.label_smoothing * uniform
        counted = ops.cast(ops.not_equal(targets, PAD), losses.dtype)
        # Keras divides by all positions; a batch may have no token at all.
        return losses * counted / ops.maximum(ops.mean(counted), 1e-6)

    def get_config(self) -> dict[str, Any]:
        return {"label_smoothing": self.label_smoothing, "name": self.name}


@keras.saving.register_keras_serializable("suanli")
class TokenAccuracy(keras.metrics.Mean):
    """The share of tokens, without padding, that have the largest logit."""

    def __init__(self, name: str = "token_accuracy", **common: Any) -> None:
        super().__init__(name=name, **common)

    def update_state(self, targets: Any, logits: Any, sample_weight: Any = None) -> Any:
        """Count a batch: targets integers [n, length], logits [n, length, vocabulary]."""
        right = ops.equal(ops.cast(targets, "int32"), ops.cast(ops.argmax(logits, axis=-1), "int32"))
        return super().update_state(ops.cast(right, "float32"), ops.cast(ops.not_equal(targets, PAD), "float32"))
