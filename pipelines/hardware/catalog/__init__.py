"""The catalog of accelerators: Suanli's rows, changed and extended by a team's own ``accelerators.toml``."""

import re
from collections.abc import Mapping
from pathlib import Path

from components.core.choices import nearest
from components.core.errors import StepError
from pipelines.hardware.catalog import team
from pipelines.hardware.catalog.row import Row
from pipelines.hardware.catalog.shapes import rows

__all__ = ["Catalog", "Row", "find", "load"]

Catalog = Mapping[str, Row]


def load(folder: Path | None = None) -> Catalog:
    """Name -> row, in the order in which they are listed.

    Args:
        folder: of ``accelerators.toml``, if any; None for Suanli's rows alone.

    Raises:
        StepError: the file has a misspelt key, an impossible value, or an incomplete row.
    """
    catalog = {row.name: row for row in rows()}
    return team.merged(catalog, folder) if folder else catalog


def find(catalog: Catalog, name: str) -> Row:
    """The row with a name, if it can be submitted to.

    Raises:
        StepError: there is no such row (the nearest is named), or it is a slice of several machines.
    """
    row = catalog.get(name)
    if row is None:
        raise StepError(f"unknown accelerator {name!r}", advice=_advice(catalog, name), kind="settings")
    if row.refused:
        raise StepError(f"accelerator {name!r}: {row.refused}", advice=_smaller(catalog, row), kind="settings")
    return row


def _advice(catalog: Catalog, name: str) -> str:
    """The shapes of the chip that was meant, else the nearest name."""
    usable = [row for row in catalog.values() if not row.refused and row.kind != "cpu"]
    typed = name.lower()
    chips = {row.chip for row in usable if typed in row.chip or row.chip in re.split(r"[-_x ]", typed)}
    of_chip = [row.name for row in usable if row.chip in chips or typed.startswith(row.chip)]
    if of_chip:
        return f"it comes as {', '.join(of_chip)}"
    close = nearest(typed, [row.name for row in catalog.values() if not row.refused])
    return close.partition(" (known")[0] if close.startswith("did you") else "see suanli accelerators"


def _smaller(catalog: Catalog, row: Row) -> str:
    """The largest single machine of the same chip."""
    single = [other for other in catalog.values() if other.chip == row.chip and not other.refused]
    if not single:
        return "see suanli accelerators"
    largest = max(single, key=lambda other: other.count)
    # Google counts TensorCores, two a chip, in the names of v4 and v5p.
    trap = f" (Google's {row.chip}-{row.count * row.hosts} is {row.count * row.hosts // 2} chips)"
    doubled = trap if row.chip in {"v4", "v5p"} else ""
    return f"the largest on one machine is {largest.name}{doubled}"
