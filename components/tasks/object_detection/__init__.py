"""Object detection: boxes about the objects of a picture, each with a class."""

from typing import Annotated, ClassVar, Literal, TypedDict

from pydantic import Field

from components.tasks import EvaluationSettings
from components.tasks._images import expected_arguments as expected_arguments

INTERFACE = "image -> boxes"
AUGMENTATIONS = ("flip",)


class Settings(EvaluationSettings):
    """How to evaluate a detector.

    Attributes:
        confidence: boxes with a lower score are not shown to people, nor counted in ``f1``, ``precision`` and
            ``recall``; average precision and recall (``map``, ``ar``) use all scores.
    """

    metrics: ClassVar[dict[str, Literal["max", "min"]]] = {
        "map": "max",
        "map50": "max",
        "map75": "max",
        "map_small": "max",
        "map_medium": "max",
        "map_large": "max",
        "ar": "max",
        "f1": "max",
        "precision": "max",
        "recall": "max",
    }
    # Mean average precision is not a mean over images; the F1 of each image is.
    slice_metrics = ("f1",)
    # Right and wrong boxes of one image against its objects, at the score from which boxes are shown: what a user
    # sees, and defined without objects, too. Average precision ranks the boxes of all images together.
    paired_metric = "f1"
    shares = frozenset(metrics)

    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.4


class Info(TypedDict):
    """What the task knows of its data.

    Attributes:
        classes: names, in the order of the labels.
        image_shape: height, width, channels of what the network sees.
        encoding: ``raw`` (arrays of that shape), or ``encoded`` (JPEG or PNG files, decoded whenever they are read).
        most_boxes: objects of one image, at most.
    """

    classes: list[str]
    image_shape: list[int]
    encoding: Literal["raw", "encoded"]
    most_boxes: int
