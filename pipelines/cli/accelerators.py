"""``suanli accelerators``: the hardware to choose from, and its prices."""

import json
from typing import Annotated

import typer

from components.core import project
from pipelines.cli.options import AsJson
from pipelines.cli.output import print_json, print_table, usd
from pipelines.hardware import catalog, ladder
from pipelines.hardware.catalog import Row


def accelerators(
    which: Annotated[str, typer.Argument(metavar="[NAME]", help="Only this one, and all about it.")] = "",
    every: Annotated[bool, typer.Option("--all", help="Include multi-host slices, which cannot be used yet.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the accelerators that --accelerator takes. Prices are list prices: verify before use."""
    known = catalog.load(project.folder())
    if which:
        (rung,) = ladder.parse(which, known)[:1]
        if as_json:
            print_json(rung.row.record())
        else:
            print_table((name, json.dumps(value)) for name, value in rung.row.record().items())
        return
    rows = [row for row in known.values() if every or as_json or not row.refused]
    if as_json:
        print_json([row.record() for row in rows])
        return
    print_table([("name", "GiB", "TFLOP/s", "in", "GB/s", "machine", "USD/h", "spot"), *map(_cells, rows)])
    for region, date in dict.fromkeys((row.region, row.priced) for row in rows if row.on_demand):
        print(f"{'list prices, ' if region else 'own prices'}{region} {date}".strip())


def _cells(row: Row) -> tuple[str, ...]:
    chips = row.count * row.hosts
    precision = max(row.peak, key=lambda name: (row.peak[name], name == "mixed_bfloat16"))
    peak = row.peak[precision] / 1e12
    return (
        row.name,
        f"{chips * row.chip_memory_gib or row.memory_gib:,.0f}",
        f"{peak:.2f}" if row.kind == "cpu" else f"{chips * peak:,.0f}",
        precision.removeprefix("mixed_"),
        f"{chips * row.bandwidth / 1e9:,.0f}",
        f"{row.machine_types[0]}{f' x {row.hosts}' if row.hosts > 1 else ''}",
        usd(row.on_demand),
        usd(row.spot),
    )
