"""What tasks share that give one label to one example, whatever the example is; the network's outputs are logits."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from components.core.config import Positive
from components.core.errors import StepError
from components.tasks import EvaluationSettings


class ClassifierSettings(EvaluationSettings):
    """How to evaluate a classifier.

    Attributes:
        top_k: how many of the best labels count for top-k accuracy and are predicted.
        abstain_below: predict no label if the best probability is lower.
    """

    metrics: ClassVar[dict[str, Literal["max", "min"]]] = {
        "accuracy": "max",
        "top_k": "max",
        "macro_f1": "max",
        "roc_auc": "max",
        "loss": "min",
        "calibration_error": "min",
    }
    # Means over examples: a slice of one class has them, too.
    slice_metrics = ("accuracy", "top_k", "loss")
    paired_metric = "accuracy"
    shares = frozenset(metrics) - {"loss"} | {
        *("macro_precision", "macro_recall", "weighted_precision", "weighted_recall", "weighted_f1"),
        *("answered", "answered_accuracy"),
    }
    class_weights = True

    top_k: Positive = 5
    abstain_below: Annotated[float, Field(ge=0, le=1)] = 0.0


def expected_units(data: Any, facts: Any) -> int:
    """The number of logits, as far as it is known before the data are prepared.

    Raises:
        StepError: it is not.
    """
    if facts is None or not facts.classes:
        raise StepError(
            f"how many classes {data.name} has is not known before it is prepared",
            advice="give it: --units N",
            kind="settings",
        )
    units: int = facts.classes
    return units
