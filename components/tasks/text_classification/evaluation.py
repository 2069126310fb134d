"""Evaluation: the label of a text, with TF-IDF and logistic regression as a baseline."""

from typing import TYPE_CHECKING, Any

import numpy as np

from components.core.errors import StepError
from components.core.examples import PreparedData
from components.tasks._classifier.evaluation import ClassifierEvaluation
from components.tasks.contract import Arrays
from components.tasks.text_classification import Info
from components.tasks.text_classification.vocabulary import assets_of, texts_and_labels
from components.text import words

if TYPE_CHECKING:
    import keras


class Evaluation(ClassifierEvaluation[Info]):
    content = "text"

    def assets(self, network: "keras.Model") -> dict[str, Any]:
        return assets_of(network)

    def problem(self, network: "keras.Model") -> str:
        if len(network.input_shape) != 2 or not assets_of(network)["vocabulary"]:
            return "does not take the numbers of words, or has no vocabulary"
        return super().problem(network)

    def encode(self, contents: Any, assets: dict[str, Any]) -> np.ndarray:
        """The numbers of the texts' words, int32 [n, length]."""
        return words.encode(contents, assets["vocabulary"], assets["length"])

    def slices(self, truth: Arrays) -> Arrays:
        """By class, by quartile of the number of words, and by source if there are several."""
        sources = {f"source {name}": truth["source"] == number for number, name in enumerate(self.info["sources"])}
        return super().slices(truth) | {name: mask for name, mask in sources.items() if mask.any() and not mask.all()}

    def baseline(self, data: PreparedData) -> tuple[str, dict[str, float]]:
        """Scikit-learn's logistic regression on TF-IDF of the train split's words, both with the library's defaults.

        Raises:
            StepError: the train split has one class only.
        """
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression

        train, test = texts_and_labels(data, "train"), texts_and_labels(data, "test")
        if len({label for _, label in train}) < 2:
            raise StepError("evaluation.baseline: the train split has one class only", advice="set it to nothing")
        vectorizer = TfidfVectorizer()
        weights = vectorizer.fit_transform([text.decode() for text, _ in train])
        model = LogisticRegression(max_iter=1000).fit(weights, [label for _, label in train])
        # A class that train does not have is never predicted.
        logits = np.full((len(test), len(self.info["classes"])), np.log(np.finfo(np.float32).tiny))
        logits[:, model.classes_] = model.predict_log_proba(vectorizer.transform([text.decode() for text, _ in test]))
        labels = {"label": np.array([label for _, label in test], np.int64)}
        scores = self.score({"logits": logits}, labels)
        return "TF-IDF and logistic regression (scikit-learn)", {
            name: scores[name] for name in self.settings.metrics if name in scores
        }
