"""Evaluation: translations against references, and the likelihood of their tokens."""

from typing import TYPE_CHECKING, Any

import numpy as np

from components.core.inference import Predictor, objects
from components.metrics import confidence, slicing
from components.metrics.bootstrap import Intervals
from components.metrics.translation import Scores
from components.tasks import contract
from components.tasks.contract import Arrays
from components.tasks.translation import Info, Settings, decoding

if TYPE_CHECKING:
    import keras

QUARTERS = ("shortest", "lower middle", "upper middle", "longest")
WORST = "Worst translations"


class Evaluation(contract.Evaluation[Info, Settings]):
    content = "source"

    def assets(self, network: "keras.Model") -> dict[str, Any]:
        return decoding.assets_of(network)

    def problem(self, network: "keras.Model") -> str:
        return "" if decoding.layer_of(network) is not None else "has no encoder and decoder of tokens"

    def encode(self, contents: Any, assets: dict[str, Any]) -> np.ndarray:
        """Inputs for sentences without a translation: of the target only START, int32 [n, length]."""
        return decoding.pack(contents, None, assets)

    def predict(self, predictor: Predictor, batch: Arrays, assets: dict[str, Any]) -> Arrays:
        """``hypothesis``, bytes objects [n]; ``whole``, whether the network saw all of the source, bool [n]; and, if
        there are targets, ``loss``, ``right`` and ``tokens`` [n] of ``decoding.token_losses``."""
        sources, settings = batch["source"].tolist(), self.settings
        texts = decoding.translate(predictor, sources, assets, settings.beam, settings.length_penalty)
        inputs = decoding.pack(sources, None, assets)
        answers = {"hypothesis": objects(texts), "whole": decoding.ended(inputs[:, : assets["source_length"]])}
        if "target" in batch:
            answers |= decoding.token_losses(predictor, sources, batch["target"].tolist(), assets)
        return answers

    def truth(self, batch: Arrays) -> Arrays:
        """Key, target (bytes objects [n]) and the source's bytes, int64 [n]."""
        sizes = np.array([len(source) for source in batch["source"].tolist()], np.int64)
        return {"key": batch["key"], "target": batch["target"], "source_bytes": sizes}

    def score(self, predicted: Arrays, truth: Arrays) -> dict[str, float]:
        """Loss (nats) and token accuracy are means over tokens, exact match and sentence chrF over sentences."""
        scores, tokens = self._scores(predicted, truth), max(1, int(predicted["tokens"].sum()))
        return {
            "exact_match": float(scores.exact.mean()),
            "sentence_chrf": float(scores.sentence_chrf.mean()),
            "chrf": scores.corpus("chrf"),
            "bleu": scores.corpus("bleu"),
            "token_accuracy": float(predicted["right"].sum() / tokens),
            "loss": float(predicted["loss"].sum() / tokens),
        }

    def _scores(self, predicted: Arrays, truth: Arrays) -> Scores:
        return Scores(predicted["hypothesis"].tolist(), truth["target"].tolist())

    def confidence_intervals(self, predicted: Arrays, truth: Arrays, scores: dict[str, float]) -> Intervals:
        settings, groups = self.settings, self.groups(truth)
        result = self._scores(predicted, truth).intervals(settings.resamples, settings.seed, groups)
        for name, column, bounded in (("token_accuracy", "right", True), ("loss", "loss", False)):
            result[name] = confidence.ratio(predicted[column], predicted["tokens"], bounded=bounded, groups=groups)
        return Intervals(result)

    def example_scores(self, predicted: Arrays, truth: Arrays) -> Arrays:
        scores = self._scores(predicted, truth)
        return {"exact_match": scores.exact, "sentence_chrf": scores.sentence_chrf}

    def slices(self, truth: Arrays) -> Arrays:
        """By the source's length in bytes, quarters of the test split's own."""
        masks = slicing.quarters("source length", truth["source_bytes"], QUARTERS)
        # If all sources are alike, one slice would be everything.
        return {name: mask for name, mask in masks.items() if mask.any() and not mask.all()}

    def worst_examples(self, predicted: Arrays, truth: Arrays) -> Arrays:
        """1 less the sentence's chrF, 0 if it is exact."""
        scores = self._scores(predicted, truth)
        return {WORST: np.where(scores.exact > 0, 0.0, 1 - scores.sentence_chrf)}

    def predictions(self, predicted: Arrays) -> list[dict[str, Any]]:
        """``translation``, and ``whole``: whether the network saw all of the source."""
        pairs = zip(predicted["hypothesis"].tolist(), predicted["whole"].tolist(), strict=True)
        return [{"translation": text.decode(errors="replace"), "whole": whole} for text, whole in pairs]
