"""Text classification: one label for one text."""

from typing import Any, NotRequired, TypedDict

from components.tasks._classifier import ClassifierSettings, expected_units

INTERFACE = "text -> classes"
TFIDF = "tfidf_logistic"


class Settings(ClassifierSettings):
    """How to evaluate a classifier of texts: ``components.tasks._classifier.ClassifierSettings``."""

    baselines = (TFIDF,)


class Info(TypedDict):
    """What the task knows of its data.

    Attributes:
        classes: names, in the order of the labels.
        sources: names of where the texts come from, in the order of their numbers.
        longest: bytes of a text, at most.
        column: the texts' column in a table, if it is not ``text``.
    """

    classes: list[str]
    sources: list[str]
    longest: int
    column: NotRequired[str]


def expected_arguments(model: Any, data: Any, facts: Any) -> dict[str, Any]:
    """``vocabulary``, of as many words as the model may have, and ``units``.

    Raises:
        StepError: the number of classes is not known yet.
    """
    words = [f"word{number}" for number in range(model.vocabulary_size)]
    return {"vocabulary": words, "units": expected_units(data, facts)}
