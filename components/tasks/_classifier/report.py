"""The report, the same for all classifiers but for how an example is shown."""

from typing import Any

import numpy as np
from markupsafe import Markup

from components.core import reports
from components.metrics import classification
from components.tasks import contract
from components.tasks._classifier import ClassifierSettings, figures
from components.tasks._classifier.evaluation import MISTAKES, judged, postprocess
from components.tasks.contract import Arrays, InfoType, Shown

# Kubeflow stores the confusion matrix in its database and draws it, so it has only the most confused classes.
MAX_CLASSES = 50


class ClassifierReport(contract.Report[InfoType, ClassifierSettings]):
    """Tables and figures by class, and the most confident mistakes."""

    def gallery(self, examples: list[tuple[Any, str]]) -> Markup:
        """Contents with their captions."""
        raise NotImplementedError

    def figures(self, predicted: Arrays, truth: Arrays, intervals: Any, shown: Shown) -> list[Markup]:
        names = self.info["classes"]
        parts = figures.parts(judged(predicted, truth, self.settings), names, intervals)
        mistakes = shown.get(MISTAKES, ())
        if not mistakes:
            return parts
        answers = postprocess(predicted["logits"][[index for index, _ in mistakes]], 1, 0.0, names)
        examples = [
            (content, f"{names[truth['label'][index]]}, taken for {one['label']} ({one['probability']:.3f})")
            for (index, content), one in zip(mistakes, answers, strict=True)
        ]
        return [*parts, reports.section(MISTAKES, self.gallery(examples))]

    def class_figures(
        self, predicted: Arrays, truth: Arrays
    ) -> tuple[list[str], np.ndarray, tuple[list[float], list[float], list[float]]]:
        results = judged(predicted, truth, self.settings)
        matrix, names = classification.confusion(results, self.info["classes"], MAX_CLASSES)
        return names, matrix, classification.roc_points(results)

    def limits(self) -> list[str]:
        sentences = ["It always answers with one of its classes, also for an input that belongs to none of them."]
        if below := self.settings.abstain_below:
            sentences.append(f"It gives no label if the best probability is below {below:g}.")
        return sentences
