"""A folder of texts, .txt files in UTF-8, with a folder for each class."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from components.core.config import Positive
from components.data import DataSettings, Example, Facts, Source, _class_folders, folder_state
from components.text import tables, texts

TEXTS = _class_folders.Kind(lambda path: path.suffix.lower() == ".txt", "texts", ".txt")


class Settings(DataSettings):
    """Text files; the class is the name of the class folder that contains a file, at any depth.

    Attributes:
        folder: contains a folder for each class, or the folders train and optionally validation (or valid, val) and
            test, which contain the classes and are then the official splits; a local path, or ``gs://``, which is
            copied to this machine while it is read, and read again according to ``version`` and ``max_age``.
        longest: maximum bytes of a text; a longer one is a bad example.
    """

    name: Literal["text_folder"] = "text_folder"
    task: str = "text_classification"
    folder: Annotated[str, Field(min_length=1)]
    longest: Positive = 100_000

    def locations(self) -> dict[str, str]:
        return {"folder": self.folder}


def state(settings: Settings) -> str:
    """A digest of the names, sizes and times of all files."""
    return folder_state(settings.folder)


def facts(settings: Settings) -> Facts | None:
    """Counts by the files' names; None if the folder is not on this machine."""
    counts = _class_folders.count_files(settings.folder, TEXTS)
    return Facts(*counts) if counts else None


def source(settings: Settings) -> Source:
    """The text files.

    Raises:
        StepError: the folder does not exist, it has no classes, or a class has no texts.
    """
    classes, splits = _class_folders.open_folder(settings.folder, TEXTS)
    name = Path(settings.folder).name

    def stream(files: _class_folders.Files) -> Iterator[Example]:
        for example in files.examples("text", limit=texts.bytes_to_read(settings.longest)):
            if "text" in example:
                example |= {"text": tables.decoded(example["text"])[: settings.longest + 1]}
            yield example | {"source": 0}

    return Source(
        info={"classes": classes, "sources": [name], "longest": settings.longest},
        splits={split: partial(stream, files) for split, files in splits.items()},
        counts={split: files.count() for split, files in splits.items()},
        version=settings.version,
        text=f"texts of the folder {name}",
    )
