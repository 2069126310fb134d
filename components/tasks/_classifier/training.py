"""Training, the same for all classifiers."""

from typing import TYPE_CHECKING, Any

from components.tasks import contract
from components.tasks.contract import InfoType

if TYPE_CHECKING:
    import keras


class ClassifierTraining(contract.Training[InfoType]):
    """Cross-entropy of logits."""

    def compile_arguments(self, network: "keras.Model") -> dict[str, Any]:
        import keras

        return {"loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True), "metrics": ["accuracy"]}
