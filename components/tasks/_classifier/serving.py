"""Serving, the same for all classifiers but for what they take."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from components.tasks import contract
from components.tasks._classifier import ClassifierSettings
from components.tasks.contract import InfoType

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


class ClassifierServing(contract.Serving[InfoType, ClassifierSettings]):
    """Logits and probabilities for programs, labels for people."""

    def signature(
        self, network: "keras.Model", assets: dict[str, Any]
    ) -> "tuple[tf.TensorSpec, Callable[[tf.Tensor], dict[str, tf.Tensor]]]":
        """``outputs`` (logits) and ``probabilities``, float32 [n, classes] each."""
        import tensorflow as tf

        spec, logits = self.logits(network, assets)

        def answer(contents: "tf.Tensor") -> "dict[str, tf.Tensor]":
            outputs = logits(contents)
            return {"outputs": outputs, "probabilities": tf.nn.softmax(outputs)}

        return spec, answer

    def logits(
        self, network: "keras.Model", assets: dict[str, Any]
    ) -> "tuple[tf.TensorSpec, Callable[[tf.Tensor], tf.Tensor]]":
        """The specification of contents, and the network as a function of them; by default they are its inputs."""
        spec, outputs = super().signature(network, assets)
        return spec, lambda contents: outputs(contents)["outputs"]

    def row(self, prediction: Mapping[str, Any]) -> dict[str, str]:
        """The label, its probability, and the next ones."""
        label = prediction["label"]
        return {
            "label": "none is sure enough" if label is None else str(label),
            "probability": f"{prediction['probability']:.3f}",
            "next": ", ".join(f"{one['label']} {one['probability']:.3f}" for one in prediction["top"][1:]),
        }
