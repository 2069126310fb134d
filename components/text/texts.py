"""Texts as examples: their checks, excerpts for pages, and the files that hold them."""

from pathlib import Path

from components.core import folders
from components.core.errors import StepError
from components.core.plain import visible
from components.text import tables

PLAIN = ".txt"
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
        return f"the text is not UTF-8 (byte {error.start:,}): {tables.UTF_8}"
    return ""


def excerpt(text: bytes, limit: int = EXCERPT) -> str:
    """The first characters of a text, printable."""
    start = text[: 4 * limit].decode(errors="backslashreplace")
    return visible(start[:limit]) + ("…" if len(start) > limit else "")


# --- files -----------------------------------------------------------------------------------------------------------


def read(path: str, max_bytes: int, column: str = "text") -> list[tuple[str, bytes]]:
    """The name and bytes of each text in a .txt file, in a folder of them, or in a column of a table.

    Raises:
        StepError: there are no texts, or one of them cannot be read or is not valid.
    """
    source = Path(path)
    if source.is_dir():
        files = [file for file, problem in folders.walk(source) if not problem and file.suffix.lower() == PLAIN]
        if not files:
            raise StepError(f"the folder {source} has no texts ({PLAIN})")
        texts = [_plain(file, max_bytes) for file in files]
    elif source.suffix.lower() in tables.SUFFIXES:
        texts = [(f"{path} row {row.number}", row_text(row, path, column)) for row in tables.rows(source, (column,))]
    else:
        texts = [_plain(source, max_bytes)]
    for name, text in texts:
        if reason := problem(text, max_bytes):
            raise StepError(f"{name}: {reason}")
    return texts


def row_text(row: tables.Row, path: str, column: str) -> bytes:
    """The bytes of the text in a row that was asked for this column alone.

    Raises:
        StepError: it has none.
    """
    text = None if row.fault else row.values[0]
    if not isinstance(text, str):
        fault = "has no" if text is None else f"has {type(text).__name__}, not a text, in"
        raise StepError(f"{path}: {row.fault or f'row {row.number} {fault} {column!r}'}")
    return as_bytes(text)


def _plain(path: Path, max_bytes: int) -> tuple[str, bytes]:
    try:
        with path.open("rb") as stream:
            return str(path), tables.decoded(stream.read(bytes_to_read(max_bytes)))[: max_bytes + 1]
    except OSError as error:
        raise StepError(f"{path} cannot be read: {error.strerror}") from None


def bytes_to_read(max_bytes: int) -> int:
    """How much of a file shows that its text is too long, however long it is, in UTF-16, too."""
    return 2 * max_bytes + 4
