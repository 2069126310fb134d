"""A folder written by TensorFlow Datasets or by prepare, on disk or in Cloud Storage."""

import tempfile
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from components import storage
from components.core.config import Positive
from components.core.errors import StepError
from components.data import DataSettings, Source, folder_state
from components.data.tfds import from_builder, split_names

MARK = "dataset_info.json"


class Settings(DataSettings):
    """A directory that ``tfds.builder_from_directory`` opens.

    Attributes:
        directory: the folder with ``dataset_info.json``: a local path, or ``gs://``, which is copied to this machine
            while it is read. Data in Cloud Storage are prepared again according to ``version`` and ``max_age``.
        train: the split, or sub-split such as ``train[:10%]``, to train on, and to validate on without ``validation``.
        validation: the official validation split; empty takes one from train by ``split``.
        test: the official test split; empty takes one from train by ``split``.
        image_shape: height, width and channels of the model's input; encoded images of other sizes are resized.
            Only for tasks with images.
    """

    name: Literal["tfds_directory"] = "tfds_directory"
    task: str = "image_classification"
    directory: Annotated[str, Field(min_length=1)]
    train: str = "train"
    validation: str = ""
    test: str = "test"
    image_shape: tuple[Positive, Positive, Positive] | None = None

    def input_shape(self) -> tuple[int, ...]:
        return self.image_shape or ()


def state(settings: Settings) -> str:
    """A digest of the names, sizes and times of a local directory's files."""
    return "" if storage.is_remote(settings.directory) else folder_state(settings.directory)


def source(settings: Settings) -> Source:
    """The examples of the directory.

    Raises:
        StepError: the directory or a split does not exist, or the features do not suit the task.
    """
    import tensorflow_datasets as tfds

    splits = {"train": settings.train, "validation": settings.validation, "test": settings.test}
    splits = {ours: theirs for ours, theirs in splits.items() if theirs}
    folder = _local(settings.directory, [name for theirs in splits.values() for name in split_names(theirs)])
    if not (folder / MARK).is_file():
        raise StepError(
            f"{settings.directory} has no {MARK}", advice="give the folder of one version, such as .../1.0.0"
        )
    try:
        builder = tfds.builder_from_directory(folder)
    # TFDS raises whatever its parsers raise.
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise StepError(f"{settings.directory} cannot be opened: {reason}") from error
    return from_builder(builder, settings.directory, splits, settings)


def _local(directory: str, splits: list[str]) -> Path:
    """The directory, or a copy of the needed files that lasts as long as this process."""
    if not storage.is_remote(directory):
        return Path(directory).expanduser()
    copy = tempfile.TemporaryDirectory(prefix="tfds-")
    COPIES.append(copy)
    needed = [
        name
        for name in storage.listing(directory)
        if ".tfrecord" not in name or any(f"-{split}." in name for split in splits)
    ]
    if MARK in needed:
        storage.copy(directory, Path(copy.name), names=needed)
    return Path(copy.name)


# Referenced here, since a temporary folder is removed with its last reference.
COPIES: list["tempfile.TemporaryDirectory[str]"] = []
