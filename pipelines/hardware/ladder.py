"""The value of --accelerator: one row, or a ladder of rows to try in turn, each with a capacity type."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from components.core.choices import nearest
from components.core.errors import StepError
from pipelines.hardware.catalog import Catalog, Row, find

Capacity = Literal["on-demand", "spot", "flex-start"]
CAPACITIES: dict[str, Capacity] = {"on-demand": "on-demand", "spot": "spot", "flex-start": "flex-start"}


@dataclass(frozen=True)
class Rung:
    """A row and how its machines are paid for."""

    row: Row
    capacity: Capacity = "on-demand"

    @property
    def spot(self) -> bool:
        return self.capacity == "spot"

    @property
    def price(self) -> float | None:
        """USD an hour; None for flex-start, whose rate is not in the catalog."""
        return None if self.capacity == "flex-start" else self.row.price(self.spot)

    def __str__(self) -> str:
        return self.row.name if self.capacity == "on-demand" else f"{self.row.name}:{self.capacity}"


def parse(text: str, catalog: Catalog, *, spot: bool = False) -> tuple[Rung, ...]:
    """The rungs of ``v5e-4:spot,l4x2:spot,l4x2``, the first one to be tried first.

    Args:
        spot: whether a rung without a capacity is a spot one (``--spot``).

    Raises:
        StepError: a row or capacity is unknown, a slice has several machines, or a rung occurs twice.
    """
    rungs = tuple(_rung(part.strip(), catalog, spot) for part in text.split(",") if part.strip())
    if not rungs:
        raise StepError("--accelerator names nothing", advice="for example l4, or l4:spot,l4", kind="settings")
    for rung in rungs:
        if rungs.count(rung) > 1:
            raise StepError(f"--accelerator: {rung} occurs twice in {text}", kind="settings")
    return rungs


def _rung(text: str, catalog: Catalog, spot: bool) -> Rung:
    name, colon, capacity = text.partition(":")
    row = find(catalog, name.strip())
    if not colon:
        return Rung(row, "spot" if spot else "on-demand")
    if capacity.strip() not in CAPACITIES:
        raise StepError(
            f"--accelerator {text}: unknown capacity {capacity.strip()!r}",
            advice=nearest(capacity.strip(), CAPACITIES),
            kind="settings",
        )
    return Rung(row, CAPACITIES[capacity.strip()])


def one_pod(rungs: Iterable[Rung]) -> list[tuple[Rung, ...]]:
    """The ladder in groups of rungs with the same resource, count and image: one compute class holds a group, and the
    run is submitted anew for the next one."""
    groups = groupby(rungs, lambda rung: (rung.row.resource, rung.row.count, rung.row.image))
    return [tuple(group) for _, group in groups]
