"""A file of texts with their labels: CSV, TSV, or JSON Lines, in UTF-8."""

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Annotated, Any, Literal

from pydantic import Field

from components.core.config import Positive
from components.core.errors import StepError
from components.core.rooms import nearest
from components.data import DataSettings, Example, Facts, Source

DELIMITERS = {".csv": ",", ".tsv": "\t"}
LINES = (".jsonl", ".ndjson")
# Beyond what a text may have, so that it is told like any other that is too long.
FIELD_BYTES = 2**27
# More classes than this are no classes: it is the wrong column.
MOST_CLASSES = 1000


class Settings(DataSettings):
    """Texts in the rows of a file, each with a label; the classes are the labels that occur, sorted.

    Attributes:
        file: ends in .csv or .tsv (its first row names the columns), or in .jsonl or .ndjson (an object a line).
        text: the column, or key, that holds the text.
        label: the one that holds the label, a text or a whole number.
        longest: a text of more bytes is a bad example.
    """

    name: Literal["text_file"] = "text_file"
    task: str = "text_classification"
    file: Annotated[str, Field(min_length=1)]
    text: Annotated[str, Field(min_length=1)] = "text"
    label: Annotated[str, Field(min_length=1)] = "label"
    longest: Positive = 100_000


def state(settings: Settings) -> str:
    """A digest of the file's size and time; empty where it is not on this machine."""
    path = Path(settings.file).expanduser()
    if not path.is_file():
        return ""
    status = path.stat()
    return hashlib.sha256(f"{status.st_size}\n{status.st_mtime_ns}".encode()).hexdigest()[:16]


def facts(settings: Settings) -> Facts | None:
    """Counted in the file, or None where it is not on this machine."""
    if not Path(settings.file).expanduser().is_file():
        return None
    counts = _labels(settings)
    return Facts({"train": counts.total()}, len(counts))


def source(settings: Settings) -> Source:
    """The rows in their order.

    Raises:
        StepError: there is no such file or column, or fewer than two labels.
    """
    path = Path(settings.file).expanduser()
    counts = _labels(settings)
    classes = sorted(counts)
    if len(classes) < 2:
        told = f"only the label {classes[0]!r}" if classes else "no labels"
        raise StepError(f"{path} has {told} in {settings.label!r}, at least 2 classes were expected")
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
    """How often each label occurs.

    Raises:
        StepError: there are too many.
    """
    counts: Counter[str] = Counter()
    for _, _, label in _rows(settings):
        counts[label] += 1
        if len(counts) > MOST_CLASSES:
            raise StepError(
                f"{settings.file} has more than {MOST_CLASSES} different values in {settings.label!r}",
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
        raise StepError(f"there is no file {path}", advice="set data.file to a file on this machine")
    suffix = path.suffix.lower()
    if suffix not in {*DELIMITERS, *LINES}:
        raise StepError(f"{path} ends in none of {', '.join((*DELIMITERS, *LINES))}", advice="give it one of them")
    # Bytes that are no UTF-8 come through, so that ``stored`` can tell which text they are in.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        found = _objects(stream, path) if suffix in LINES else _records(stream, path, DELIMITERS[suffix], settings)
        for line, row in enumerate(found, 1):
            for name in (settings.text, settings.label):
                if row.get(name) is None:
                    raise StepError(f"row {line} of {path} has no {name!r}", advice=nearest(name, map(str, row)))
            text, label = row[settings.text], row[settings.label]
            if not isinstance(text, str):
                raise StepError(f"row {line} of {path}: {settings.text!r} is {type(text).__name__}, not a text")
            if not isinstance(label, str | int):
                raise StepError(
                    f"row {line} of {path}: {settings.label!r} is {type(label).__name__}, not a text or a whole number"
                )
            yield line, _bytes(text), str(label).strip()


def _bytes(text: str) -> bytes:
    """A text's bytes as they are in the file; half a character, as JSON can spell it, is no UTF-8."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _records(stream: IO[str], path: Path, delimiter: str, settings: Settings) -> Iterator[dict[str, Any]]:
    """The rows of a file of separated values.

    Raises:
        StepError: it has not the columns, or a row has not as many values.
    """
    csv.field_size_limit(FIELD_BYTES)
    rows = csv.reader(stream, delimiter=delimiter, strict=True)
    try:
        head = next(rows, [])
        for name in (settings.text, settings.label):
            if head.count(name) != 1:
                times = "no column" if name not in head else "more than one column"
                raise StepError(f"{path} has {times} {name!r}", advice=nearest(name, head[:50]) if head else "")
        for line, row in enumerate(rows, 1):
            if row and len(row) != len(head):
                raise StepError(f"row {line} of {path} has {len(row)} values, its first row names {len(head)} columns")
            if row:
                yield dict(zip(head, row, strict=True))
    except csv.Error as error:
        raise StepError(f"{path} cannot be read as separated values: {error} (line {rows.line_num})") from None


def _objects(stream: IO[str], path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file with one a line; empty lines are passed over.

    Raises:
        StepError: a line holds something else.
    """
    for line, content in enumerate(stream, 1):
        if not content.strip():
            continue
        try:
            row = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise StepError(f"line {line} of {path} is no JSON: {error}") from None
        if not isinstance(row, dict):
            raise StepError(f"line {line} of {path} is {type(row).__name__}, an object was expected")
        yield row
