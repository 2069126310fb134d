"""Training, the same for all classifiers."""

from typing import Any

import keras

from components.tasks import contract
from components.tasks.contract import InfoType


class ClassifierTraining(contract.Training[InfoType]):
    """Cross-entropy of logits."""

    def compile_arguments(self, network: keras.Model) -> dict[str, Any]:
        return {"loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True), "metrics": ["accuracy"]}
