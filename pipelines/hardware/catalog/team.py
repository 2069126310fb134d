"""A team's ``accelerators.toml``: its own rows and prices, and the labels of its pools."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from components.core.choices import nearest
from components.core.errors import StepError
from pipelines.hardware.catalog.chips import GPUS
from pipelines.hardware.catalog.machines import MACHINES
from pipelines.hardware.catalog.row import Row
from pipelines.hardware.catalog.shapes import MACHINE_LABEL, together

FILE = "accelerators.toml"
# Keys beside the fields of a row: the row to start from, and the pool's machine type.
LIKE, MACHINE = "like", "machine_type"
KEYS = (*(name for name in Row.model_fields if name != "name"), LIKE, MACHINE)
# A row with a team's prices names the team's file as their source.
OWN = {"source": FILE, "priced": ""}


def merged(rows: Mapping[str, Row], folder: Path) -> dict[str, Row]:
    """Our rows, changed and extended by the file: ``[l4]`` changes a row, ``like = "l4"`` in ``[my-l4]`` adds one.

    ``labels`` are added to the row's own, and an empty value removes one; every other key replaces a value.

    Raises:
        StepError: the file is not TOML, a key is misspelt, a value impossible, or a new row incomplete.
    """
    path = folder / FILE
    try:
        tables = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return dict(rows)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StepError(f"{path}: {error}", advice="write a table for each accelerator", kind="settings") from None
    catalog = dict(rows)
    for name, table in tables.items():
        catalog[name] = _row(path, catalog, name, table)
    return catalog


def _row(path: Path, catalog: Mapping[str, Row], name: str, table: Any) -> Row:
    title = f"{path}: [{name}]"
    if not isinstance(table, dict):
        raise StepError(f"{title} is not a table", advice=f"write [{name}] and its keys below it", kind="settings")
    for key in table:
        if key not in KEYS:
            raise StepError(f"{title} has an unknown key {key}", advice=nearest(key, KEYS), kind="settings")
    try:
        return Row.model_validate(_values(title, catalog, name, table))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        if first["type"] == "missing":
            raise StepError(
                f"{title} lacks {key}", advice='give it, or like = "NAME" to start from a row', kind="settings"
            ) from None
        message = first["msg"].removeprefix("Input ").removeprefix("Value error, ")
        raise StepError(f"{title} {key}: {message}, not {first['input']!r}", kind="settings") from None


def _values(title: str, catalog: Mapping[str, Row], name: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a row: those of its base row, of its machine type, and its own."""
    start = table.get(LIKE, name)
    if LIKE in table and not (isinstance(start, str) and start in catalog):
        raise StepError(f"{title} like: no accelerator {start!r}", advice=nearest(str(start), catalog), kind="settings")
    base = catalog.get(start)
    values: dict[str, Any] = base.model_dump() if base else {}
    given = {key: value for key, value in table.items() if key not in {LIKE, MACHINE}}
    if {"on_demand", "spot"} & set(given):
        values |= OWN
    if MACHINE in table:
        values |= _machine(title, base, table[MACHINE])
    if isinstance(given.get("labels"), dict):
        labels = {**values.get("labels", {}), **given["labels"]}
        given["labels"] = {key: value for key, value in labels.items() if value != ""}
    return {**values, **given, "name": name}


def _machine(title: str, base: Row | None, machine_type: Any) -> dict[str, Any]:
    """Size and price of the pool's machine type."""
    if not isinstance(machine_type, str) or machine_type not in MACHINES:
        raise StepError(
            f"{title} {MACHINE}: {machine_type!r} is not known here",
            advice="give machine_types, vcpus and memory_gib, and its prices",
            kind="settings",
        )
    machine = MACHINES[machine_type]
    values: dict[str, Any] = {
        "machine_types": (machine_type,),
        "vcpus": machine.vcpus,
        "memory_gib": machine.memory_gib,
    }
    if base and base.labels.get(MACHINE_LABEL):
        values["labels"] = {**base.labels, MACHINE_LABEL: machine_type}
        values |= {"on_demand": machine.on_demand, "spot": machine.spot}
    if base and base.kind == "gpu" and base.chip in GPUS:
        on_demand, spot = GPUS[base.chip].usd
        values["on_demand"] = together(base.count, on_demand, machine.on_demand)
        values["spot"] = together(base.count, spot, machine.spot)
    return values
