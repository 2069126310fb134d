"""Training: the numbers of a text's words."""

from collections.abc import Callable
from typing import Any

import keras

from components.core.errors import StepError
from components.core.examples import PreparedData
from components.tasks._classifier.training import ClassifierTraining
from components.tasks.text_classification import Info
from components.tasks.text_classification.vocabulary import assets_of, texts_and_labels
from components.text import words


class Training(ClassifierTraining[Info]):
    def arguments(self, model: Any, data: PreparedData) -> dict[str, Any]:
        """``vocabulary``, the most frequent words of the train split, and ``units``.

        Raises:
            StepError: there are no words.
        """
        vocabulary = words.build_vocabulary(
            (text for text, _ in texts_and_labels(data, "train")), model.vocabulary_size
        )
        if not vocabulary:
            raise StepError("the training texts have no words", advice="check what data gives as texts")
        return {"vocabulary": vocabulary, "units": len(self.info["classes"])}

    def assets(self, network: keras.Model) -> dict[str, Any]:
        return assets_of(network)

    def input_fn(self, assets: dict[str, Any]) -> Callable[[Any], tuple[Any, Any]]:
        """Inputs are the numbers of words, int32 [batch, length]."""
        encode = words.WordTokenizer(assets["vocabulary"], assets["length"])
        return lambda batch: (encode(batch["text"]), batch["label"])
