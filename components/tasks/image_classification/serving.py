"""Serving: image files, folders of them, and arrays."""

from collections.abc import Iterator

import numpy as np

from components.core.errors import StepError
from components.tasks._classifier.serving import ClassifierServing
from components.tasks.image_classification import Info
from components.vision import images


class Serving(ClassifierServing[Info]):
    def read_inputs(self, path: str) -> Iterator[tuple[str, np.ndarray | StepError]]:
        """Name and uint8 array [height, width, channels] of every image in an image file, a folder or a .npy file."""
        height, width, channels = self.info["image_shape"]
        return images.read(path, (height, width, channels))
