"""What commands print: aligned columns for people, JSON for programs, and tracebacks on demand."""

import json
import os
from collections.abc import Iterable, Sequence
from typing import Any

from components.core.plain import one_line


def columns(rows: Iterable[Sequence[Any]]) -> None:
    """Print rows with their columns aligned."""
    cells = [[one_line(str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def as_document(values: Any) -> None:
    """Print one JSON document."""
    print(json.dumps(values, indent=1))


def debugging(wanted: bool) -> None:
    """Show tracebacks from here on, in this process and in those it starts."""
    if wanted:
        os.environ["SUANLI_DEBUG"] = "1"
