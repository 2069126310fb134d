"""What tasks share that give one label to one example, whatever the example is; its outputs are logits."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from components.core.config import Positive
from components.core.errors import StepError
from components.tasks import EvaluationSettings

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf
    from markupsafe import Markup

    from components.core.inference import Predictor
    from components.metrics.classification import Judged, Resampled

# The metrics that ``require`` may name, and which way is better.
METRICS: dict[str, Literal["max", "min"]] = {
    "accuracy": "max",
    "top_k": "max",
    "macro_f1": "max",
    "roc_auc": "max",
    "loss": "min",
    "calibration_error": "min",
}
# Those that ``require_slices`` may name: means over examples, which a slice of one class has too.
SLICE_METRICS = ("accuracy", "top_k", "loss")
# Compared example by example between champion and challenger.
PAIRED_METRIC = "accuracy"
EXACT = ("logits",)
QUARTERS = ("lowest", "lower middle", "upper middle", "highest")
MISTAKES = "Most confident mistakes"


class ClassifierSettings(EvaluationSettings):
    """How to judge a classifier.

    Attributes:
        top_k: how many of the best labels count for top-k accuracy and are predicted.
        abstain_below: predict no label where the best probability is lower.
    """

    metrics = METRICS
    slice_metrics = SLICE_METRICS
    shares = frozenset(METRICS) - {"loss"}

    top_k: Positive = 5
    abstain_below: Annotated[float, Field(ge=0, le=1)] = 0.0


def expected_units(data: Any, facts: Any) -> int:
    """How many logits a network has, by what is known of the data before they are prepared.

    Raises:
        StepError: nothing is.
    """
    if facts is None or not facts.classes:
        raise StepError(
            f"how many classes {data.name} has is not known before it is prepared",
            advice="give it: --units N",
            kind="settings",
        )
    units: int = facts.classes
    return units


def compile_arguments(network: "keras.Model", info: dict[str, Any]) -> dict[str, Any]:
    """Loss and metrics for ``model.compile``, fresh objects at each call."""
    import keras

    return {"loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True), "metrics": ["accuracy"]}


def with_probabilities(
    signature: "tf.TensorSpec", logits: "Callable[[tf.Tensor], tf.Tensor]"
) -> "tuple[tf.TensorSpec, Callable[[tf.Tensor], dict[str, tf.Tensor]]]":
    """What a SavedModel answers: ``outputs`` (logits) and ``probabilities``, float32 [n, classes] each."""
    import tensorflow as tf

    def answer(contents: "tf.Tensor") -> "dict[str, tf.Tensor]":
        outputs = logits(contents)
        return {"outputs": outputs, "probabilities": tf.nn.softmax(outputs)}

    return signature, answer


def other_units(network: "keras.Model", info: dict[str, Any]) -> str:
    """Why a network has not one logit for each class, or an empty string."""
    has, need = network.output_shape[-1], len(info["classes"])
    return "" if has == need else f"has {has} outputs, the data need {need}"


# --- judging ---------------------------------------------------------------------------------------------------------


def answers_to(
    content: str, encoded: "Callable[[Any, dict[str, Any], dict[str, Any]], np.ndarray]"
) -> "Callable[..., dict[str, np.ndarray]]":
    """A task's ``answers``: the logits, float32 [n, classes], to the contents that ``encoded`` makes inputs of."""

    def answers(
        predictor: "Predictor",
        batch: "dict[str, np.ndarray]",
        settings: ClassifierSettings,
        info: dict[str, Any],
        assets: dict[str, Any],
    ) -> "dict[str, np.ndarray]":
        import numpy as np

        return {"logits": predictor.run(encoded(batch[content], assets, info)).astype(np.float32)}

    return answers


def truth_beside(content: str) -> "Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]":
    """A task's ``truth``: label, key and recorded attributes, which are all but the content."""
    return lambda batch: {name: values for name, values in batch.items() if name != content}


def _judged(found: "dict[str, np.ndarray]", truth: "dict[str, np.ndarray]", settings: ClassifierSettings) -> "Judged":
    from components.metrics.classification import Judged

    return Judged(found["logits"], truth["label"], min(settings.top_k, found["logits"].shape[1]))


def score(
    found: "dict[str, np.ndarray]",
    truth: "dict[str, np.ndarray]",
    settings: ClassifierSettings,
    info: dict[str, Any],
) -> dict[str, float]:
    """The metrics in METRICS with averages over classes, from logits [n, classes] and the examples' arrays.

    With ``abstain_below``, also the share of examples that get a label, ``answered``, and the accuracy on those.
    """
    from components.metrics import classification

    judged = _judged(found, truth, settings)
    scores = classification.scores(judged)
    if settings.abstain_below:
        answered = classification.probabilities(judged.logits).max(axis=1) >= settings.abstain_below
        scores["answered"] = float(answered.mean())
        if answered.any():
            scores["answered_accuracy"] = float(judged.right[answered].mean())
    return scores


def resampled(
    found: "dict[str, np.ndarray]",
    truth: "dict[str, np.ndarray]",
    settings: ClassifierSettings,
    scores: dict[str, float],
) -> "Resampled":
    """95% bootstrap intervals of what ``score`` found; ``metrics`` maps a metric to its interval."""
    from components.metrics import classification

    return classification.resampled(_judged(found, truth, settings), scores, settings.resamples, settings.seed)


def example_values(
    found: "dict[str, np.ndarray]", truth: "dict[str, np.ndarray]", settings: ClassifierSettings
) -> "dict[str, np.ndarray]":
    """The metrics in SLICE_METRICS, example by example: metric -> float64 [n]."""
    return _judged(found, truth, settings).values()


def paired(found: "dict[str, np.ndarray]", truth: "dict[str, np.ndarray]") -> "np.ndarray":
    """The paired metric of every example, float64 [n]: 1 where the best label is the true one."""
    import numpy as np

    return np.asarray(found["logits"].argmax(axis=1) == truth["label"], np.float64)


def slices(truth: "dict[str, np.ndarray]", info: dict[str, Any]) -> "dict[str, np.ndarray]":
    """Slice name -> boolean mask [n]: by class and by every recorded attribute, such as brightness quartile.

    Attributes are the arrays of fractions, one an example; the quartiles are the test split's own.
    """
    import numpy as np

    from components.metrics import slicing

    found = {f"class {name}": truth["label"] == label for label, name in enumerate(info["classes"])}
    for attribute in sorted(truth):
        values = truth[attribute]
        if np.issubdtype(values.dtype, np.floating):
            found |= slicing.quarters(attribute, values, QUARTERS)
    return {name: mask for name, mask in found.items() if mask.any()}


def notable(found: "dict[str, np.ndarray]", truth: "dict[str, np.ndarray]") -> "dict[str, np.ndarray]":
    """How sure the model is of a wrong label, float64 [n]: its probability, 0 where the label is right."""
    import numpy as np

    from components.metrics import classification

    sure = classification.probabilities(found["logits"]).max(axis=1)
    return {MISTAKES: np.where(paired(found, truth), 0.0, sure)}


def figures_with(gallery: "Callable[[list[tuple[Any, str]]], Markup]") -> "Callable[..., list[Markup]]":
    """A task's ``figures``: those of any classifier, and its most confident mistakes.

    Args:
        gallery: shows contents with their captions.
    """

    def figures(
        found: "dict[str, np.ndarray]",
        truth: "dict[str, np.ndarray]",
        settings: ClassifierSettings,
        info: dict[str, Any],
        intervals: "Resampled",
        shown: "Mapping[str, Sequence[tuple[int, Any]]]",
    ) -> "list[Markup]":
        from components.core import reports
        from components.tasks._classifier import figures

        names = info["classes"]
        parts = figures.parts(_judged(found, truth, settings), names, intervals)
        mistakes = shown.get(MISTAKES, ())
        if not mistakes:
            return parts
        rows = {"logits": found["logits"][[index for index, _ in mistakes]]}
        said = predictions(rows, settings.model_copy(update={"top_k": 1}), info)
        captions = [
            f"{names[truth['label'][index]]}, taken for {one['top'][0]['label']} ({one['top'][0]['probability']:.3f})"
            for (index, _), one in zip(mistakes, said, strict=True)
        ]
        pairs = [(content, caption) for (_, content), caption in zip(mistakes, captions, strict=True)]
        return [*parts, reports.section(MISTAKES, gallery(pairs))]

    return figures


def class_figures(
    found: "dict[str, np.ndarray]",
    truth: "dict[str, np.ndarray]",
    settings: ClassifierSettings,
    info: dict[str, Any],
) -> "tuple[list[str], np.ndarray, tuple[list[float], list[float], list[float]]]":
    """The classes' names, how often each (row) was given each label (column), and the points of a ROC curve."""
    from components.metrics import classification

    judged = _judged(found, truth, settings)
    return list(info["classes"]), classification.confusion(judged), classification.roc_points(judged)


def predictions(
    found: "dict[str, np.ndarray]", settings: ClassifierSettings, info: dict[str, Any]
) -> list[dict[str, Any]]:
    """Post-processing, the same for evaluation and for prediction: softmax, the top-k labels with probabilities, and
    ``label`` None below the abstain threshold.

    Returns:
        For each example ``label``, its ``probability`` (of the best label, given or withheld), and ``top``: the
        ``top_k`` best labels with their probabilities, best first.
    """
    import numpy as np

    from components.metrics import classification

    outputs = found["logits"]
    names, chances = info["classes"], classification.probabilities(outputs)
    best = classification.ranked(outputs, min(settings.top_k, outputs.shape[1]))
    made = []
    for labels, values in zip(best.tolist(), np.take_along_axis(chances, best, axis=1).tolist(), strict=True):
        top = [{"label": names[label], "probability": value} for label, value in zip(labels, values, strict=True)]
        label = top[0]["label"] if values[0] >= settings.abstain_below else None
        made.append({"label": label, "probability": values[0], "top": top})
    return made


def row(prediction: Mapping[str, Any]) -> dict[str, str]:
    """A prediction as a line of a table: the label, its probability, and the next ones."""
    label = prediction["label"]
    return {
        "label": "none is sure enough" if label is None else str(label),
        "probability": f"{prediction['probability']:.3f}",
        "next": ", ".join(f"{one['label']} {one['probability']:.3f}" for one in prediction["top"][1:]),
    }


def limits(info: dict[str, Any], settings: Mapping[str, Any]) -> list[str]:
    """What a user should know."""
    told = ["It answers with one of its classes whatever it is shown, also to an input that belongs to none of them."]
    if below := settings.get("abstain_below"):
        told.append(f"No label is given where the best probability is under {below:g}.")
    return told
