"""Texts as examples: what is none, how it is shown, and the files that hold some."""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from components.core.choices import nearest
from components.core.errors import StepError
from components.core.plain import visible

DELIMITERS = {".csv": ",", ".tsv": "\t"}
LINES = (".jsonl", ".ndjson")
PLAIN = ".txt"
# Beyond what a text may have, so that it is told like any other that is too long.
FIELD_BYTES = 2**27
# A text of more bytes is a bad example where the data's settings do not say otherwise.
LONGEST = 100_000
# Characters of a text that a page shows.
SHOWN = 600


def as_bytes(text: str | bytes) -> bytes:
    """A text's bytes; half a character, which JSON can spell, becomes bytes that are no UTF-8, as do those that a file
    was read with by ``surrogateescape``."""
    if isinstance(text, bytes):
        return text
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def fault(text: bytes, longest: int) -> str:
    """What is wrong with a text as an example, or an empty string.

    Args:
        longest: of more bytes it is too long.
    """
    if len(text) > longest:
        return f"the text has {len(text):,} bytes or more, at most {longest:,} are read (data.longest)"
    if not text.strip():
        return "the text is empty"
    if b"\0" in text:
        return f"the text has a NUL byte (at {text.index(0):,}): UTF-8 was expected, not UTF-16 or binary data"
    try:
        text.decode()
    except UnicodeDecodeError as error:
        return f"the text is not UTF-8 (byte {error.start:,})"
    return ""


def shown(text: bytes, most: int = SHOWN) -> str:
    """The beginning of a text as it can be read on a page."""
    start = text[: 4 * most].decode(errors="backslashreplace")
    return visible(start[:most]) + ("…" if len(start) > most else "")


# --- files -----------------------------------------------------------------------------------------------------------


def read(path: str, longest: int) -> list[tuple[str, bytes]]:
    """Name and bytes of every text in a .txt file, in a folder of them, or in the column ``text`` of a file of rows.

    Raises:
        StepError: there is none, one cannot be read, or is no text.
    """
    place = Path(path)
    if place.is_dir():
        files = sorted(file for file in place.rglob("*") if file.suffix.lower() == PLAIN and file.is_file())
        if not files:
            raise StepError(f"the folder {place} has no texts ({PLAIN})")
        found = [_plain(file, longest) for file in files]
    elif place.suffix.lower() in {*DELIMITERS, *LINES}:
        column = "text"
        found = [(f"{path} row {line}", of_row(text, place, line, column)) for line, (text,) in rows(place, (column,))]
    else:
        found = [_plain(place, longest)]
    for name, text in found:
        if problem := fault(text, longest):
            raise StepError(f"{name}: {problem}")
    return found


def _plain(path: Path, longest: int) -> tuple[str, bytes]:
    try:
        with path.open("rb") as stream:
            # A byte more than is allowed shows that a text is too long, however long it is.
            return str(path), stream.read(longest + 1)
    except OSError as error:
        raise StepError(f"{path} cannot be read: {error.strerror}") from None


def rows(path: Path, wanted: Sequence[str]) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Number, from 1, and wanted values of each row of a file: .csv or .tsv, whose first row names the columns, or
    .jsonl or .ndjson, an object a line.

    Raises:
        StepError: the file is missing, of another kind or damaged, or a row lacks a value.
    """
    suffix = path.suffix.lower()
    if suffix not in {*DELIMITERS, *LINES}:
        raise StepError(f"{path} ends in none of {', '.join((*DELIMITERS, *LINES))}", advice="give it one of them")
    try:
        # Bytes that are no UTF-8 come through: which text they are in is for whoever takes the texts to tell.
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
            found = _objects(stream, path) if suffix in LINES else _records(stream, path, DELIMITERS[suffix], wanted)
            for line, row in enumerate(found, 1):
                for name in wanted:
                    if row.get(name) is None:
                        raise StepError(f"row {line} of {path} has no {name!r}", advice=nearest(name, map(str, row)))
                yield line, tuple(row[name] for name in wanted)
    except OSError as error:
        raise StepError(f"{path} cannot be read: {error.strerror}") from None


def of_row(text: Any, path: Path, line: int, column: str) -> bytes:
    """The bytes of a row's text.

    Raises:
        StepError: it is a number or something else.
    """
    if not isinstance(text, str):
        raise StepError(f"row {line} of {path}: {column!r} is {type(text).__name__}, not a text")
    return as_bytes(text)


def _records(stream: IO[str], path: Path, delimiter: str, wanted: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows of a file of separated values.

    Raises:
        StepError: it has not the columns, or a row has not as many values.
    """
    csv.field_size_limit(FIELD_BYTES)
    rows = csv.reader(stream, delimiter=delimiter, strict=True)
    try:
        head = next(rows, [])
        for name in wanted:
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
