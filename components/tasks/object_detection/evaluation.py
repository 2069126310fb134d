"""Evaluation: boxes found, by COCO's metrics and by F1 of each image."""

from typing import TYPE_CHECKING, Any

import numpy as np

from components.core.inference import Predictor
from components.metrics import detection
from components.metrics.detection import DetectionIntervals
from components.tasks import _images, contract
from components.tasks.contract import Arrays
from components.tasks.object_detection import Info, Settings
from components.vision import boxes

if TYPE_CHECKING:
    import keras

WORST, BEST = "Pictures with most mistakes", "Pictures found in full"


class Evaluation(contract.Evaluation[Info, Settings]):
    content = "image"

    def problem(self, network: "keras.Model") -> str:
        from components.layers.prior_boxes import PriorBoxes

        if wrong := _images.shape_problem(network, self.info["image_shape"]):
            return wrong
        if not any(isinstance(layer, PriorBoxes) for layer in network.layers):
            return "has no layer PriorBoxes, which says where its boxes are"
        outputs, needed = network.output_shape[-1], 4 + len(self.info["classes"])
        if outputs == needed:
            return ""
        return f"has {outputs} outputs a location, the data need {needed}: 4 edges and a logit a class"

    def cautions(self, truth: Arrays) -> list[str]:
        present = np.setdiff1d(truth["labels"], [boxes.NONE])
        if not len(present):
            return ["No test picture has an object: a model that finds nothing would be right."]
        if len(present) == 1 and len(self.info["classes"]) > 1:
            name = self.info["classes"][int(present[0])]
            return [f"Every object of the test split is of the class {name!r}: the others are not tested."]
        return []

    def predict(self, predictor: Predictor, batch: Arrays, assets: dict[str, Any]) -> Arrays:
        """Boxes after post-processing (``components.vision.boxes.decode``), with ``sure``: whether a box is shown."""
        result = boxes.decode(predictor.run(self.encode(batch["image"], assets)))
        return result | {"sure": result["scores"] >= self.settings.confidence}

    def score(self, predicted: Arrays, truth: Arrays) -> dict[str, float]:
        """The metrics; those of object sizes only if there are objects of that size."""
        return detection.scores(detection.Predictions(predicted, truth, len(self.info["classes"])))

    def confidence_intervals(self, predicted: Arrays, truth: Arrays, scores: dict[str, float]) -> DetectionIntervals:
        """Intervals of map, map50, ar and f1."""
        classes = 1 + int(max(predicted["labels"].max(), truth["labels"].max(), 0))
        predictions = detection.Predictions(predicted, truth, classes)
        return detection.confidence_intervals(
            predictions, self.settings.resamples, self.settings.seed, self.groups(truth)
        )

    def example_scores(self, predicted: Arrays, truth: Arrays) -> Arrays:
        """F1 of each image's shown boxes at an overlap of 0.5; 1 if there is no object and none is shown."""
        return {"f1": detection.outcome(predicted, truth).f1}

    def trivial(self, truth: Arrays) -> tuple[str, np.ndarray]:
        return "finding nothing", np.asarray(truth["count"] == 0, np.float64)

    def slices(self, truth: Arrays) -> Arrays:
        """By the number of objects, by their size, and by the classes present."""
        present, counts = truth["labels"] != boxes.NONE, truth["count"]
        areas = boxes.areas(truth["boxes"]) * (truth["height"] * truth["width"])[:, None]
        masks = {
            "no object": counts == 0,
            "1 object": counts == 1,
            "2 or 3 objects": (counts >= 2) & (counts <= 3),
            "4 to 9 objects": (counts >= 4) & (counts <= 9),
            "10 objects or more": counts >= 10,
        }
        for size, (low, high) in detection.SIZES.items():
            masks[f"with a {size} object"] = (present & (areas >= low) & (areas < high)).any(axis=1)
        for label, name in enumerate(self.info["classes"]):
            masks[f"with {name}"] = (truth["labels"] == label).any(axis=1)
        return {name: mask for name, mask in masks.items() if mask.any()}

    def worst_examples(self, predicted: Arrays, truth: Arrays) -> Arrays:
        """The images with the lowest F1, of those the ones with most mistakes first; and those without a mistake, the
        ones with most objects and the highest scores first."""
        outcome = detection.outcome(predicted, truth)
        mistakes = outcome.wrong + outcome.missed
        worst = np.where(mistakes > 0, 1 - outcome.f1 + 1e-3 * mistakes, 0.0)
        confidence = np.where(outcome.sure, predicted["scores"], 0.0).sum(axis=1) / np.maximum(outcome.right, 1)
        best = np.where((mistakes == 0) & (outcome.right > 0), outcome.right + confidence, 0.0)
        return {WORST: worst, BEST: best}

    def predictions(self, predicted: Arrays) -> list[dict[str, Any]]:
        """``objects`` shown in each image, best first, each with ``label``, ``score`` and ``box`` (left, top, right,
        bottom as fractions of the image's width and height)."""
        names = self.info["classes"]
        columns = (predicted[name] for name in ("boxes", "scores", "labels", "sure"))
        answers = []
        for edges, scores, labels, sure in zip(*columns, strict=True):
            objects = [
                {"label": names[label], "score": round(float(score), 4), "box": [round(edge, 4) for edge in box]}
                for box, score, label in zip(edges[sure].tolist(), scores[sure], labels[sure], strict=True)
            ]
            answers.append({"objects": objects})
        return answers
