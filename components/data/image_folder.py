"""A folder of images with a folder for each class."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from components.core.config import Positive
from components.data import DataSettings, Facts, Source, _class_folders, folder_state
from components.vision import formats

IMAGES = _class_folders.Kind(formats.is_image, "images", formats.READABLE)


class Settings(DataSettings):
    """Image files; the class is the name of the class folder that contains a file, at any depth.

    Attributes:
        folder: contains a folder for each class, or the folders train and optionally validation (or valid, val) and
            test, which contain the classes and are then the official splits; a local path, or ``gs://``, which is
            copied to this machine while it is read, and read again according to ``version`` and ``max_age``.
        image_shape: height, width and channels of the model's input; images of other sizes are resized.
    """

    name: Literal["image_folder"] = "image_folder"
    task: str = "image_classification"
    folder: Annotated[str, Field(min_length=1)]
    image_shape: tuple[Positive, Positive, Literal[1, 3]]

    def input_shape(self) -> tuple[int, ...]:
        return self.image_shape

    def locations(self) -> dict[str, str]:
        return {"folder": self.folder}


def state(settings: Settings) -> str:
    """A digest of the names, sizes and times of all files."""
    return folder_state(settings.folder)


def facts(settings: Settings) -> Facts | None:
    """Counts of the files; None if the folder is not on this machine."""
    counts = _class_folders.count_files(settings.folder, IMAGES)
    return Facts(*counts, encoded=True) if counts else None


def source(settings: Settings) -> Source:
    """The image files.

    Raises:
        StepError: the folder does not exist, it has no classes, or a class has no images.
    """
    classes, splits = _class_folders.open_folder(settings.folder, IMAGES)
    return Source(
        info={"classes": classes, "image_shape": list(settings.image_shape), "encoding": "encoded"},
        splits={split: partial(files.examples, "image") for split, files in splits.items()},
        counts={split: files.count() for split, files in splits.items()},
        version=settings.version,
        text=f"pictures of the folder {Path(settings.folder).name}",
    )
