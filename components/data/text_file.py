"""A file of texts with their labels: CSV, TSV, or JSON Lines, in UTF-8."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from components.core import project
from components.core.config import Positive
from components.core.errors import StepError
from components.data import MAX_CLASSES, DataSettings, Example, Facts, Source, local_path
from components.text import tables, texts

# How pandas, R, SQL and spreadsheets write a value that is missing.
MISSING = frozenset({"nan", "null", "none", "na", "n/a", "#n/a", "<na>"})
# Shown in a note.
SHOWN = 5


class Settings(DataSettings):
    """Texts in the rows of a file, each with a label; the classes are the labels that occur, sorted.

    Attributes:
        file: .csv or .tsv (the first row names the columns), or .jsonl or .ndjson (one object per line); a local path,
            or ``gs://``. A file in Cloud Storage is read again according to ``version`` and ``max_age``.
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

    def locations(self) -> dict[str, str]:
        return {"file": self.file}


def state(settings: Settings) -> str:
    """A digest of the file's size and time; empty if it is not on this machine."""
    path = project.path(settings.file)
    if not path.is_file():
        return ""
    status = path.stat()
    return hashlib.sha256(f"{status.st_size}\n{status.st_mtime_ns}".encode()).hexdigest()[:16]


def check(settings: Settings) -> None:
    """Read the head of the file.

    Raises:
        StepError: it is of another kind, or a column is missing.
    """
    next(tables.rows(project.path(settings.file), (settings.text, settings.label)), None)


def facts(settings: Settings) -> Facts | None:
    """Counts of the rows; None if the file is not on this machine."""
    path = project.path(settings.file)
    if not path.is_file():
        return None
    content = Content.read(path, settings)
    return Facts({"train": content.rows}, len(content.labels))


def source(settings: Settings) -> Source:
    """The rows in their order.

    Raises:
        StepError: the file or a column is missing, or there are fewer than two labels.
    """
    path = local_path(settings.file)
    content = Content.read(path, settings)
    classes = sorted(content.labels)
    if len(classes) < 2:
        labels = f"only the label {classes[0]!r}" if classes else "no labels"
        raise StepError(
            f"{path} has {labels} in {settings.label!r}, at least 2 classes were expected", advice=content.first_fault
        )
    numbers = {label: number for number, label in enumerate(classes)}

    def train() -> Iterator[Example]:
        for row in _rows(path, settings):
            example: Example = {"text": b"", "label": 0, "source": 0}
            if row.fault:
                yield {**example, "name": path.name, "fault": row.fault}
            else:
                text, label, *others = row.values
                own = dict(zip(_columns(settings), others, strict=True))
                named = {"text": text, "label": numbers[label], "name": f"{path.name} row {row.number}"}
                yield example | named | {"columns": own}

    # The column is not told where it is the usual one: it would make other data of what was prepared before.
    column = {"column": settings.text} if settings.text != "text" else {}
    return Source(
        info={"classes": classes, "sources": [path.stem], "longest": settings.longest, **column},
        splits={"train": train},
        counts={"train": content.rows},
        version=settings.version,
        text=f"texts of the file {path.name}",
        notes=tuple(content.notes()),
    )


@dataclass
class Content:
    """What a first reading of the file tells.

    Attributes:
        labels: label -> number of rows.
        rows: with and without faults.
        merged: rows with a value that spans lines and holds a delimiter.
    """

    labels: "Counter[str]" = field(default_factory=Counter)
    rows: int = 0
    merged: list[int] = field(default_factory=list)
    first_fault: str = ""

    @classmethod
    def read(cls, path: Path, settings: Settings) -> "Content":
        """Read the file.

        Raises:
            StepError: it is missing or damaged, or there are too many labels.
        """
        content = cls()
        for row in _rows(path, settings):
            content.rows += 1
            if row.merged:
                content.merged.append(row.number)
            if row.fault:
                content.first_fault = content.first_fault or row.fault
            else:
                content.labels[row.values[1]] += 1
            if len(content.labels) > MAX_CLASSES:
                raise StepError(
                    f"{path} has more than {MAX_CLASSES} different values in {settings.label!r}",
                    advice="set data.label to the column of the classes",
                )
        return content

    def notes(self) -> Iterator[str]:
        """What is probably not meant."""
        if missing := {label: count for label, count in self.labels.items() if label.lower() in MISSING}:
            named = ", ".join(f"{label} ({count:,})" for label, count in sorted(missing.items()))
            yield f"Labels that look like missing values are classes: {named}. Leave them empty if that is not meant."
        if self.merged:
            first = ", ".join(map(str, self.merged[:SHOWN]))
            yield (
                f"{len(self.merged):,} rows have a value that spans lines and holds a delimiter, as where a lone quote "
                f"merges rows: {first}{', ...' if len(self.merged) > SHOWN else ''}."
            )


def _rows(path: Path, settings: Settings) -> Iterator[tables.Row]:
    """The rows with their text, as bytes, and label; or with what is wrong with them.

    Raises:
        StepError: the file is missing, of another kind or damaged.
    """
    if not path.is_file():
        raise StepError(f"no such file: {path}", advice="set data.file to a file on this machine or in gs://")
    for row in tables.rows(path, (settings.text, settings.label, *_columns(settings))):
        if row.fault:
            yield row
            continue
        text, label, *others = row.values
        try:
            if not isinstance(text, str):
                raise ValueError(
                    "has no text" if text is None else f"has {type(text).__name__} in {settings.text!r}, not a text"
                )
            values = (texts.as_bytes(text), _label(label, settings.label), *others)
            yield tables.Row(row.number, values, merged=row.merged)
        except ValueError as error:
            yield tables.Row(row.number, fault=f"row {row.number} {error}", merged=row.merged)


def _columns(settings: Settings) -> list[str]:
    """The columns for ``group`` and ``time``."""
    return [name for name in (settings.group, settings.time) if name and "(" not in name]


def _label(value: Any, column: str) -> str:
    """The name of a class.

    Raises:
        ValueError: it is missing, not UTF-8, or neither a text nor a whole number; the text follows the row's number.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # a column of whole numbers with gaps, as pandas writes it
    if value is None or (isinstance(value, str) and not value.strip()):
        raise ValueError("has no label")
    if not isinstance(value, str | int):
        raise ValueError(f"has {type(value).__name__} in {column!r}, not a text or a whole number")
    label = str(value).strip()
    if not tables.is_utf8(label):
        raise ValueError(f"has a label that is not UTF-8: {tables.UTF_8}")
    return label
