"""What commands print: tables for people, JSON for programs, and tracebacks on request."""

import codecs
import io
import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from components.core.plain import one_line


def print_table(rows: Iterable[Sequence[Any]]) -> None:
    """Print rows with their columns aligned."""
    cells = [[one_line(str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_json(values: Any) -> None:
    print(json.dumps(values, indent=1))


def escape_unprintable() -> None:
    """Let standard output show characters that its encoding lacks as JSON escapes, instead of ending the command."""
    codecs.register_error("json", _escaped)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="json")


def _escaped(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2)), error.end


def usd(value: float | None) -> str:
    return "?" if value is None else f"{value:,.2f}"


def show_tracebacks() -> None:
    """Show tracebacks from now on, in this process and in those it starts."""
    os.environ["SUANLI_DEBUG"] = "1"
