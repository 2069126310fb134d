"""``suanli accelerators``: what hardware there is to choose from, and what it costs."""

from typing import Annotated

import typer

from pipelines.cli import asked, output
from pipelines.cli.asked import AsJson
from pipelines.hardware.catalog import Row


def accelerators(
    every: Annotated[bool, typer.Option("--all", help="Multi-host slices too, which cannot be used yet.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the accelerators: one word each for --accelerator. Prices are list prices: verify before use."""
    rows = [row for row in asked.catalog().values() if every or as_json or not row.refused]
    if as_json:
        output.as_document([row.record() for row in rows])
        return
    head = ("name", "GiB", "TFLOP/s", "in", "GB/s", "machine", "USD/h", "spot")
    output.columns([head, *(_line(row) for row in rows)])
    for where in dict.fromkeys((row.region, row.priced) for row in rows if row.on_demand):
        print(f"{'list prices, ' if where[0] else 'own prices'}{where[0]} {where[1]}".strip())


def _line(row: Row) -> tuple[str, ...]:
    chips = row.count * row.hosts
    best = max(row.peak, key=lambda name: (row.peak[name], name == "mixed_bfloat16"))
    memory = chips * row.chip_memory_gib or row.memory_gib
    hosts = f" x {row.hosts}" if row.hosts > 1 else ""
    return (
        row.name,
        f"{memory:,.0f}",
        f"{chips * row.peak[best] / 1e12:,.0f}" if row.kind != "cpu" else f"{row.peak[best] / 1e12:.2f}",
        best.removeprefix("mixed_"),
        f"{chips * row.bandwidth / 1e9:,.0f}",
        f"{row.machine_types[0]}{hosts}",
        _usd(row.on_demand),
        _usd(row.spot),
    )


def _usd(value: float | None) -> str:
    return "?" if value is None else f"{value:.2f}"
