"""Texts as examples: their checks, excerpts for pages, and the files that hold them."""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from components.core import folders
from components.core.choices import nearest
from components.core.errors import StepError
from components.core.plain import visible

DELIMITERS = {".csv": ",", ".tsv": "\t"}
LINES = (".jsonl", ".ndjson")
PLAIN = ".txt"
# The csv module's limit, above any text's, so that a long text is reported as such.
FIELD_BYTES = 2**27
# A longer text, in bytes, is a bad example unless the data's settings say otherwise.
MAX_BYTES = 100_000
# Characters of a text on a page.
EXCERPT = 600


def as_bytes(text: str | bytes) -> bytes:
    """A text's bytes. A lone surrogate, which JSON can spell, becomes bytes that are not UTF-8, as do bytes that were
    read by ``surrogateescape``."""
    if isinstance(text, bytes):
        return text
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def problem(text: bytes, max_bytes: int) -> str:
    """Why a text is not a valid example; empty if it is."""
    if len(text) > max_bytes:
        return f"the text has {len(text):,} bytes or more, at most {max_bytes:,} are read (data.longest)"
    if not text.strip():
        return "the text is empty"
    if b"\0" in text:
        return f"the text has a NUL byte (at {text.index(0):,}): UTF-8 was expected, not UTF-16 or binary data"
    try:
        text.decode()
    except UnicodeDecodeError as error:
        return f"the text is not UTF-8 (byte {error.start:,})"
    return ""


def excerpt(text: bytes, limit: int = EXCERPT) -> str:
    """The first characters of a text, printable."""
    start = text[: 4 * limit].decode(errors="backslashreplace")
    return visible(start[:limit]) + ("…" if len(start) > limit else "")


# --- files -----------------------------------------------------------------------------------------------------------


def read(path: str, max_bytes: int) -> list[tuple[str, bytes]]:
    """The name and bytes of each text in a .txt file, in a folder of them, or in the column ``text`` of a table.

    Raises:
        StepError: there are no texts, or one of them cannot be read or is not valid.
    """
    source, column = Path(path), "text"
    if source.is_dir():
        files = [file for file, problem in folders.walk(source) if not problem and file.suffix.lower() == PLAIN]
        if not files:
            raise StepError(f"the folder {source} has no texts ({PLAIN})")
        texts = [_plain(file, max_bytes) for file in files]
    elif source.suffix.lower() in {*DELIMITERS, *LINES}:
        table = rows(source, (column,))
        texts = [(f"{path} row {line}", row_text(text, source, line, column)) for line, (text,) in table]
    else:
        texts = [_plain(source, max_bytes)]
    for name, text in texts:
        if reason := problem(text, max_bytes):
            raise StepError(f"{name}: {reason}")
    return texts


def _plain(path: Path, max_bytes: int) -> tuple[str, bytes]:
    try:
        with path.open("rb") as stream:
            # One byte more than allowed shows that a text is too long, however long it is.
            return str(path), stream.read(max_bytes + 1)
    except OSError as error:
        raise StepError(f"{path} cannot be read: {error.strerror}") from None


def rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Number, from 1, and values of each row of a table: .csv or .tsv, whose first row names the columns, or .jsonl or
    .ndjson, one object a line.

    Raises:
        StepError: the file is missing, of another kind or damaged, or a row lacks a value.
    """
    suffix = path.suffix.lower()
    if suffix not in {*DELIMITERS, *LINES}:
        raise StepError(f"{path} ends in none of {', '.join((*DELIMITERS, *LINES))}", advice="give it one of them")
    try:
        # Bytes that are not UTF-8 pass through: the check of each text reports them.
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
            table = _objects(stream, path) if suffix in LINES else _records(stream, path, DELIMITERS[suffix], columns)
            for line, row in enumerate(table, 1):
                for name in columns:
                    if row.get(name) is None:
                        raise StepError(f"row {line} of {path} has no {name!r}", advice=nearest(name, map(str, row)))
                yield line, tuple(row[name] for name in columns)
    except OSError as error:
        raise StepError(f"{path} cannot be read: {error.strerror}") from None


def row_text(text: Any, path: Path, line: int, column: str) -> bytes:
    """The bytes of a row's text.

    Raises:
        StepError: the value is not a string.
    """
    if not isinstance(text, str):
        raise StepError(f"row {line} of {path}: {column!r} is {type(text).__name__}, not a text")
    return as_bytes(text)


def _records(stream: IO[str], path: Path, delimiter: str, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows of a file of separated values.

    Raises:
        StepError: a column is missing, or a row has more or fewer values than there are columns.
    """
    csv.field_size_limit(FIELD_BYTES)
    rows = csv.reader(stream, delimiter=delimiter, strict=True)
    try:
        head = next(rows, [])
        for name in columns:
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
    """The objects of a file with one a line; empty lines are skipped.

    Raises:
        StepError: a line is not an object.
    """
    for line, content in enumerate(stream, 1):
        if not content.strip():
            continue
        try:
            row = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise StepError(f"line {line} of {path} is not JSON: {error}") from None
        if not isinstance(row, dict):
            raise StepError(f"line {line} of {path} is {type(row).__name__}, an object was expected")
        yield row
