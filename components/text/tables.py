"""Tables of texts: .csv and .tsv, whose first row names the columns, and .jsonl and .ndjson, one object a line."""

import codecs
import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Any, Literal

from components.core.choices import nearest
from components.core.errors import StepError
from components.core.plain import is_visible

# Of a .csv, the first whose first row has the columns: Excel writes the list separator of its user's country.
SEPARATED = {".csv": (",", ";", "\t", "|"), ".tsv": ("\t",)}
LINES = (".jsonl", ".ndjson")
SUFFIXES = (*SEPARATED, *LINES)
# Excel's line before the head.
SEPARATOR_LINE = "sep="
# The csv module's limit, above any text's, so that a long text is reported as such.
FIELD_BYTES = 2**27
# Objects of which one must have a column.
FIRST = 100
UTF_8 = "save it as UTF-8"
# UTF-32 first: its mark begins with UTF-16's.
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def encoding_of(head: bytes) -> str:
    """The encoding that a file's byte order mark names; UTF-8 without one."""
    return next((name for mark, name in MARKS.items() if head.startswith(mark)), "utf-8-sig")


def decoded(content: bytes) -> bytes:
    """The bytes of a file in UTF-8, without a byte order mark; what its mark does not fit stays as it is."""
    encoding = encoding_of(content)
    if encoding == "utf-8-sig":
        return content.removeprefix(codecs.BOM_UTF8)
    try:
        return content.decode(encoding).encode()
    except UnicodeDecodeError as error:
        # The last character may have been cut off by a limit.
        return content[: error.start].decode(encoding).encode() if len(content) - error.start < 4 else content


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        number: from 1, the head not counted.
        values: of the columns that were asked for; None for one that a row lacks.
        fault: why it has none, such as too few of them.
        merged: whether a value spans lines and holds a delimiter, as where a lone quote merges rows.
    """

    number: int
    values: tuple[Any, ...] = ()
    fault: str = ""
    merged: bool = False


def rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """The rows of a table, without empty ones; bad ones have a ``fault``. Bytes that are not UTF-8 pass through as
    surrogates.

    Raises:
        StepError: the file is missing, of another kind or damaged, or it lacks a column.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise StepError(f"{path} ends in none of {', '.join(SUFFIXES)}", advice="save it as one of them")
    try:
        with path.open("rb") as binary:
            encoding = encoding_of(binary.read(4))
            binary.seek(0)
            errors = "surrogateescape" if encoding == "utf-8-sig" else "strict"
            with io.TextIOWrapper(binary, encoding, errors, newline="") as stream:
                if suffix in LINES:
                    yield from _objects(stream, path, columns)
                else:
                    yield from _records(stream, path, SEPARATED[suffix], columns)
    except OSError as error:
        raise StepError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise StepError(f"{path} is not {error.encoding}, as its first bytes say", advice=UTF_8) from None


def is_utf8(text: str) -> bool:
    """Whether a text that ``rows`` gave was UTF-8 in its file."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _records(stream: IO[str], path: Path, delimiters: Sequence[str], columns: Sequence[str]) -> Iterator[Row]:
    """The rows of a file of separated values.

    Raises:
        StepError: a column is missing or there twice, or a quote is never closed.
    """
    csv.field_size_limit(FIELD_BYTES)
    first = stream.readline()
    if first.lower().startswith(SEPARATOR_LINE) and len(first.strip()) == len(SEPARATOR_LINE) + 1:
        delimiters, first = (first.strip()[-1], *delimiters), stream.readline()
    # In .tsv a quote is a letter: what has tabs or line ends cannot stand there.
    quoting: Literal[0, 3] = csv.QUOTE_NONE if delimiters == SEPARATED[".tsv"] else csv.QUOTE_MINIMAL

    def reader(lines: Iterator[str], delimiter: str) -> Iterator[list[str]]:
        return csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=True)

    number = 0
    try:
        heads = {each: next(reader(iter([first]), each), []) for each in delimiters}
        known = [each for each, names in heads.items() if set(columns) <= set(names)]
        delimiter = known[0] if known else delimiters[0]
        head = heads[delimiter]
        _check_head(path, head, columns)
        where = [head.index(name) for name in columns]
        table = reader(chain([first], stream), delimiter)
        next(table)
        for number, row in enumerate(table, 1):
            row = row[: len(head)] if not any(row[len(head) :]) else row
            if len(row) == len(head):
                merged = any("\n" in value and delimiter in value for value in row)
                if any(value and not value.isspace() for value in row):
                    yield Row(number, tuple(row[column] for column in where), merged=merged)
            elif "".join(row).strip():
                yield Row(number, fault=f"row {number} has {len(row)} values, the first row names {len(head)} columns")
    except csv.Error as error:
        unclosed = "unexpected end" in str(error)
        fault = f"a quote that opens in row {number + 1} is never closed" if unclosed else f"row {number + 1}: {error}"
        raise StepError(f"{path} cannot be read as separated values: {fault}", advice="write a quote as two") from None


def _check_head(path: Path, head: Sequence[str], columns: Sequence[str]) -> None:
    """Raises StepError if a column is missing or there twice."""
    for name in columns:
        if head.count(name) > 1:
            raise StepError(f"{path} has more than one column {name!r}", advice="give each a name of its own")
        if name not in head:
            advice = (
                nearest(name, [each for each in head[:50] if is_visible(each)]) if head else "its first row is empty"
            )
            if "\0" in "".join(head) or not is_utf8("".join(head)):
                advice = f"its first row is not UTF-8: {UTF_8}"
            raise StepError(f"{path} has no column {name!r}", advice=advice)


def _objects(stream: IO[str], path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """The objects of a file with one a line.

    Raises:
        StepError: none of the first objects has a column.
    """
    names: dict[str, None] = {}
    count = 0
    for number, content in enumerate(stream, 1):
        if not content.strip():
            continue
        try:
            row = json.loads(content)
        except (ValueError, RecursionError) as error:
            yield Row(number, fault=f"row {number} is not JSON: {error}")
            continue
        if not isinstance(row, dict):
            yield Row(number, fault=f"row {number} is {type(row).__name__}, an object was expected")
            continue
        count += 1
        if count <= FIRST:
            names |= dict.fromkeys(row)
        if count == FIRST:
            _check_head(path, list(names), columns)
        yield Row(number, tuple(row.get(name) for name in columns))
    if 0 < count < FIRST:
        _check_head(path, list(names), columns)
