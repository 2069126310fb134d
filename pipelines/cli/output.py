"""Answers on stdout: aligned columns for people, JSON for programs."""

import json
from collections.abc import Iterable, Sequence
from typing import Any


def columns(rows: Iterable[Sequence[Any]]) -> None:
    """Print rows with their columns aligned."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def as_document(values: Any) -> None:
    """Print one JSON document."""
    print(json.dumps(values, indent=1))
