"""A folder of pictures, JPEG or PNG, with a folder for each class."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from components.core.config import Positive
from components.data import DataSettings, Example, Facts, Source, _class_folders, folder_state

PICTURES = _class_folders.Kind((".jpg", ".jpeg", ".png"), "pictures")


class Settings(DataSettings):
    """Pictures in files. A picture's class is the name of the folder it lies in, at any depth.

    Attributes:
        folder: holds a folder for each class, or the folders train and, where there are any, validation and test, which
            hold the classes and are then the official splits.
        image_shape: height, width and channels that the model sees; pictures of other sizes are resized.
    """

    name: Literal["image_folder"] = "image_folder"
    task: str = "image_classification"
    folder: Annotated[str, Field(min_length=1)]
    image_shape: tuple[Positive, Positive, Literal[1, 3]]

    def input_shape(self) -> tuple[int, ...]:
        return self.image_shape


def state(settings: Settings) -> str:
    """A digest over the names, sizes and times of all files."""
    return folder_state(settings.folder)


def facts(settings: Settings) -> Facts | None:
    """Counted by the files' names, or None where the folder is not on this machine."""
    counted = _class_folders.counted(settings.folder, PICTURES)
    return Facts(*counted, encoded=True) if counted else None


def source(settings: Settings) -> Source:
    """The pictures as they lie in their files.

    Raises:
        StepError: there is no such folder, it has no classes, or a class has no pictures.
    """
    classes, splits = _class_folders.opened(settings.folder, PICTURES)

    def stream(files: _class_folders.Files) -> Iterator[Example]:
        for image, label, path in files.contents():
            yield {"image": image, "label": label, "name": str(path)}

    return Source(
        info={"classes": classes, "image_shape": list(settings.image_shape), "encoding": "encoded"},
        splits={split: partial(stream, files) for split, files in splits.items()},
        counts={split: len(files.labels) for split, files in splits.items()},
        version=settings.version,
        text=f"pictures of the folder {Path(settings.folder).name}",
    )
