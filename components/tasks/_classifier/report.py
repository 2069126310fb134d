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
MISTAKES_SHOWN, OTHERS_SHOWN = 24, 12


class ClassifierReport(contract.Report[InfoType, ClassifierSettings]):
    """Tables and figures by class, and the most confident mistakes."""

    def gallery(self, examples: list[tuple[Any, Markup]]) -> Markup:
        """Contents with their captions."""
        raise NotImplementedError

    def figures(self, predicted: Arrays, truth: Arrays, intervals: Any, shown: Shown) -> list[Markup]:
        names, labels = self.info["classes"], truth["label"]
        taken_for = predicted["logits"].argmax(axis=1)
        pairs = {
            number: (int(labels[number]), int(taken_for[number]))
            for title in shown
            for number, _ in shown[title][: _most(title)]
        }
        wrong = {pair for pair in pairs.values() if pair[0] != pair[1]}
        parts = figures.parts(judged(predicted, truth, self.settings), names, intervals, wrong)
        linked: set[figures.Pair] = set()
        for title, examples in shown.items():
            captioned = []
            for number, content in examples[: _most(title)]:
                share = postprocess(predicted["logits"][[number]], 1, 0.0, names)[0]["probability"]
                captioned.append((content, _caption(names, pairs[number], share, linked)))
            if captioned:
                parts.append(reports.section(title, self.gallery(captioned)))
        return parts

    def class_figures(
        self, predicted: Arrays, truth: Arrays
    ) -> tuple[list[str], np.ndarray, tuple[list[float], list[float], list[float]]]:
        results = judged(predicted, truth, self.settings)
        matrix, names = classification.confusion(results, self.info["classes"], MAX_CLASSES)
        return names, matrix, classification.roc_points(results)

    def outputs(self) -> str:
        return "logits, one for each class in their order; the largest is the answer"

    def limits(self) -> list[str]:
        sentences = ["It always answers with one of its classes, also for an input that belongs to none of them."]
        if below := self.settings.abstain_below:
            sentences.append(f"It gives no label if the best probability is below {below:g}.")
        return sentences


def _most(title: str) -> int:
    """How many examples are shown under a title."""
    return MISTAKES_SHOWN if title == MISTAKES else OTHERS_SHOWN


def _caption(names: list[str], pair: figures.Pair, share: float, linked: set[figures.Pair]) -> Markup:
    """What an example is and what it was taken for; the first of a mistake is what the confusion matrix leads to."""
    if pair[0] == pair[1]:
        return Markup('<span class="right">{}</span> ({})').format(names[pair[0]], reports.measure(share, True))
    anchor = Markup("") if pair in linked else Markup(' id="{}"').format(figures.anchor(pair))
    linked.add(pair)
    return Markup('<span class="right"{}>{}</span>, taken for <span class="wrong">{}</span> ({})').format(
        anchor, names[pair[0]], names[pair[1]], reports.measure(share, True)
    )
