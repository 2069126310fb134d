"""A folder written by TensorFlow Datasets or by prepare, on disk or in Cloud Storage."""

import re
from typing import Annotated, Literal

from pydantic import Field

from components import storage
from components.core import project
from components.core.config import FROM_ONE_LINE, Positive
from components.core.errors import StepError
from components.data import DataSettings, Source, folder_state, local_path
from components.data.tfds import from_builder, require_own_features, split_names

MARK = "dataset_info.json"
# The name of a file of examples, in any format.
SHARD = re.compile(r"-\d{5,}-of-\d{5,}$")


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
        languages: for translation, of source and target, such as ``de,en``; empty for its supervised keys' order,
            or else that of their names.
        input: the feature of the picture or text; empty for the data set's own choice (its supervised keys), the usual
            name, or the only feature of that kind.
        label: the feature of the class, for detection the one within the objects; empty for the same.
    """

    name: Literal["tfds_directory"] = "tfds_directory"
    task: str = "image_classification"
    directory: Annotated[str, Field(min_length=1)]
    train: str = "train"
    validation: str = ""
    test: str = "test"
    image_shape: tuple[Positive, Positive, Positive] | None = None
    languages: Annotated[tuple[str, ...], FROM_ONE_LINE] = ()
    input: str = ""
    label: str = ""

    def input_shape(self) -> tuple[int, ...]:
        return self.image_shape or ()

    def locations(self) -> dict[str, str]:
        return {"directory": self.directory}


def state(settings: Settings) -> str:
    """A digest of the names, sizes and times of a local directory's files."""
    return "" if storage.is_remote(settings.directory) else folder_state(settings.directory)


def check(settings: Settings) -> None:
    """Look for the description.

    Raises:
        StepError: there is none.
    """
    remote = storage.is_remote(settings.directory)
    folder = settings.directory if remote else str(project.path(settings.directory))
    if not storage.exists(storage.join(folder, MARK)):
        raise StepError(
            f"{settings.directory} has no {MARK}", advice="give the folder of one version, such as .../1.0.0"
        )


def source(settings: Settings) -> Source:
    """The examples of the directory.

    Raises:
        StepError: the directory or a split does not exist, or the features do not suit the task.
    """
    import tensorflow_datasets as tfds

    splits = {"train": settings.train, "validation": settings.validation, "test": settings.test}
    splits = {ours: theirs for ours, theirs in splits.items() if theirs}
    needed = [name for theirs in splits.values() for name in split_names(theirs)]
    check(settings)
    folder = local_path(
        settings.directory,
        lambda name: not SHARD.search(name) or any(f"-{split}." in name for split in needed),
    )
    require_own_features(folder)
    try:
        builder = tfds.builder_from_directory(folder)
    # TFDS raises whatever its parsers raise.
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise StepError(f"{settings.directory} cannot be opened: {reason}") from error
    return from_builder(builder, settings.directory, splits, settings)
