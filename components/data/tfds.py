"""Any image data set of TensorFlow Datasets, by its name."""

from typing import Annotated, Literal

from pydantic import Field

from components.core.config import Positive
from components.data import DataSettings


class Settings(DataSettings):
    """A data set of TensorFlow Datasets.

    Attributes:
        dataset: its name there, with a configuration and version where wanted: ``cifar10``, ``imagenet2012:5.1.0``.
        train: the split, or sub-split such as ``train[:10%]``, to train and validate on.
        test: the official test split; empty cuts one from train by ``split``.
        image_shape: height, width and channels that the model sees; encoded pictures of other sizes are resized.
    """

    name: Literal["tfds"] = "tfds"
    dataset: Annotated[str, Field(min_length=1)]
    train: str = "train"
    test: str = "test"
    image_shape: tuple[Positive, Positive, Positive]

    def input_shape(self) -> tuple[int, ...]:
        return self.image_shape
