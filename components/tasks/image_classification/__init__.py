"""Image classification: one label for one picture."""

from typing import Literal, TypedDict

from components.tasks._classifier import ClassifierSettings
from components.tasks._images import expected_arguments as expected_arguments

INTERFACE = "image -> classes"
AUGMENTATIONS = ("flip", "shift", "crop")


class Settings(ClassifierSettings):
    """How to evaluate a classifier of images: ``components.tasks._classifier.ClassifierSettings``."""


class Info(TypedDict):
    """What the task knows of its data.

    Attributes:
        classes: names, in the order of the labels.
        image_shape: height, width, channels of what the network sees.
        encoding: ``raw`` (arrays of that shape), or ``encoded`` (JPEG or PNG files, decoded whenever they are read).
    """

    classes: list[str]
    image_shape: list[int]
    encoding: Literal["raw", "encoded"]
