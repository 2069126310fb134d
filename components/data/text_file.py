"""A file of texts with their labels: CSV, TSV, or JSON Lines, in UTF-8."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from components.core.config import Positive
from components.core.errors import StepError
from components.data import DataSettings, Example, Facts, Source
from components.text import texts

# With more different labels the column is probably the wrong one.
MAX_CLASSES = 1000


class Settings(DataSettings):
    """Texts in the rows of a file, each with a label; the classes are the labels that occur, sorted.

    Attributes:
        file: .csv or .tsv (the first row names the columns), or .jsonl or .ndjson (one object per line).
        text: the column, or key, of the text.
        label: the column, or key, of the label, a text or a whole number.
        longest: maximum bytes of a text; a longer one is a bad example.
    """

    name: Literal["text_file"] = "text_file"
    task: str = "text_classification"
    file: Annotated[str, Field(min_length=1)]
    text: Annotated[str, Field(min_length=1)] = "text"
    label: Annotated[str, Field(min_length=1)] = "label"
    longest: Positive = 100_000


def state(settings: Settings) -> str:
    """A digest of the file's size and time; empty if it is not on this machine."""
    path = Path(settings.file).expanduser()
    if not path.is_file():
        return ""
    status = path.stat()
    return hashlib.sha256(f"{status.st_size}\n{status.st_mtime_ns}".encode()).hexdigest()[:16]


def facts(settings: Settings) -> Facts | None:
    """Counts of the rows; None if the file is not on this machine."""
    if not Path(settings.file).expanduser().is_file():
        return None
    counts = _labels(settings)
    return Facts({"train": counts.total()}, len(counts))


def source(settings: Settings) -> Source:
    """The rows in their order.

    Raises:
        StepError: the file or a column is missing, or there are fewer than two labels.
    """
    path = Path(settings.file).expanduser()
    counts = _labels(settings)
    classes = sorted(counts)
    if len(classes) < 2:
        labels = f"only the label {classes[0]!r}" if classes else "no labels"
        raise StepError(f"{path} has {labels} in {settings.label!r}, at least 2 classes were expected")
    numbers = {label: number for number, label in enumerate(classes)}

    def train() -> Iterator[Example]:
        for line, text, label in _rows(settings):
            yield {"text": text, "label": numbers[label], "source": 0, "name": f"{path.name} row {line}"}

    return Source(
        info={"classes": classes, "sources": [path.stem], "longest": settings.longest},
        splits={"train": train},
        counts={"train": counts.total()},
        version=settings.version,
        text=f"texts of the file {path.name}",
    )


def _labels(settings: Settings) -> "Counter[str]":
    """The number of rows of each label.

    Raises:
        StepError: there are too many labels.
    """
    counts: Counter[str] = Counter()
    for _, _, label in _rows(settings):
        counts[label] += 1
        if len(counts) > MAX_CLASSES:
            raise StepError(
                f"{settings.file} has more than {MAX_CLASSES} different values in {settings.label!r}",
                advice="set data.label to the column of the classes",
            )
    return counts


def _rows(settings: Settings) -> Iterator[tuple[int, bytes, str]]:
    """Number, text and label of each row, from 1.

    Raises:
        StepError: the file is missing, of another kind or damaged, or a row has no text or no label.
    """
    path = Path(settings.file).expanduser()
    if not path.is_file():
        raise StepError(f"no such file: {path}", advice="set data.file to a file on this machine")
    for line, (text, label) in texts.rows(path, (settings.text, settings.label)):
        if not isinstance(label, str | int):
            raise StepError(
                f"row {line} of {path}: {settings.label!r} is {type(label).__name__}, not a text or a whole number"
            )
        yield line, texts.row_text(text, path, line, settings.text), str(label).strip()
