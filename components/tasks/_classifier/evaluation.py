"""Evaluation, the same for all classifiers."""

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from components.core.inference import Predictor
from components.metrics import classification, slicing
from components.metrics.classification import ClassifierIntervals, Predictions
from components.tasks import contract
from components.tasks._classifier import ClassifierSettings
from components.tasks.contract import Arrays, InfoType

if TYPE_CHECKING:
    import keras

QUARTERS = ("lowest", "lower middle", "upper middle", "highest")
MISTAKES, UNSURE, RIGHT = "Most confident mistakes", "Least sure", "Right ones, drawn at random"


def judged(predicted: Arrays, truth: Arrays, settings: ClassifierSettings) -> Predictions:
    return Predictions(predicted["logits"], truth["label"], min(settings.top_k, predicted["logits"].shape[1]))


def postprocess(logits: np.ndarray, top_k: int, abstain_below: float, names: list[str]) -> list[dict[str, Any]]:
    """Softmax and the best labels of logits [n, classes].

    Returns:
        For each example ``label`` (None if its probability is below ``abstain_below``), the best label's
        ``probability``, and ``top``: the ``top_k`` best labels with their probabilities, best first.
    """
    best = classification.top_labels(logits, min(top_k, logits.shape[1]))
    shares = np.exp(np.take_along_axis(logits, best, axis=1) - classification.log_sums(logits)[:, None])
    answers = []
    for labels, values in zip(best.tolist(), shares.tolist(), strict=True):
        top = [{"label": names[label], "probability": value} for label, value in zip(labels, values, strict=True)]
        label = top[0]["label"] if values[0] >= abstain_below else None
        answers.append({"label": label, "probability": values[0], "top": top})
    return answers


class ClassifierEvaluation(contract.Evaluation[InfoType, ClassifierSettings]):
    """Logits, float32 [n, classes], against labels."""

    exact = ("logits",)

    def problem(self, network: "keras.Model") -> str:
        outputs, classes = network.output_shape[-1], len(self.info["classes"])
        return "" if outputs == classes else f"has {outputs} outputs, the data need {classes}"

    def cautions(self, truth: Arrays) -> list[str]:
        present = np.unique(truth["label"])
        if len(present) != 1 or len(self.info["classes"]) < 2:
            return []
        name = self.info["classes"][int(present[0])]
        return [f"Every test example is of the class {name!r}: a model that always says so would be right."]

    def predict(self, predictor: Predictor, batch: Arrays, assets: dict[str, Any]) -> Arrays:
        return {"logits": predictor.run(self.encode(batch[self.content], assets)).astype(np.float32)}

    def score(self, predicted: Arrays, truth: Arrays) -> dict[str, float]:
        """The metrics with averages over classes. With ``abstain_below`` also the share of examples that get a label,
        ``answered``, and the accuracy on those."""
        results = judged(predicted, truth, self.settings)
        scores = classification.scores(results)
        if self.settings.abstain_below:
            answered = results.confidence >= self.settings.abstain_below
            scores["answered"] = float(answered.mean())
            if answered.any():
                scores["answered_accuracy"] = float(results.correct[answered].mean())
        return scores

    def confidence_intervals(self, predicted: Arrays, truth: Arrays, scores: dict[str, float]) -> ClassifierIntervals:
        results = judged(predicted, truth, self.settings)
        return classification.confidence_intervals(results, scores, self.groups(truth))

    def example_scores(self, predicted: Arrays, truth: Arrays) -> Arrays:
        return judged(predicted, truth, self.settings).values()

    def example_metric(self, predicted: Arrays, truth: Arrays) -> np.ndarray:
        """1 if the best label is the true one, else 0."""
        return np.asarray(predicted["logits"].argmax(axis=1) == truth["label"], np.float64)

    def trivial(self, truth: Arrays) -> tuple[str, np.ndarray]:
        most = int(np.bincount(truth["label"]).argmax())
        return f"always answering {self.info['classes'][most]!r}", np.asarray(truth["label"] == most, np.float64)

    def slices(self, truth: Arrays) -> Arrays:
        """By class and by every recorded attribute (the float arrays), such as brightness: its quartiles in the test
        split."""
        masks = {f"class {name}": truth["label"] == label for label, name in enumerate(self.info["classes"])}
        for attribute in sorted(truth):
            values = truth[attribute]
            if np.issubdtype(values.dtype, np.floating):
                masks |= slicing.quarters(attribute, values, QUARTERS)
        return {name: mask for name, mask in masks.items() if mask.any()}

    def worst_examples(self, predicted: Arrays, truth: Arrays) -> Arrays:
        """The probability of a wrong label, 0 if the label is right; what the best label lacks to certainty; for right
        ones a number that is as good as random, and the same each time."""
        results = judged(predicted, truth, self.settings)
        drawn = np.array([zlib.crc32(bytes(key)) / 2**32 for key in truth["key"].tolist()])
        return {
            MISTAKES: np.where(results.correct, 0.0, results.confidence),
            UNSURE: 1 - results.confidence,
            RIGHT: np.where(results.correct, drawn, 0.0),
        }

    def predictions(self, predicted: Arrays) -> list[dict[str, Any]]:
        settings = self.settings
        return postprocess(predicted["logits"], settings.top_k, settings.abstain_below, self.info["classes"])
