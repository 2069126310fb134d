"""Evaluation: the label of an image."""

from typing import TYPE_CHECKING

from components.tasks import _images
from components.tasks._classifier.evaluation import ClassifierEvaluation
from components.tasks.image_classification import Info

if TYPE_CHECKING:
    import keras


class Evaluation(ClassifierEvaluation[Info]):
    content = "image"

    def problem(self, network: "keras.Model") -> str:
        return _images.shape_problem(network, self.info["image_shape"]) or super().problem(network)
