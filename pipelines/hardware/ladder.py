"""What a user writes after --accelerator: one row, or a ladder of rows to try in turn, each on demand or cheaper."""

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
        """USD an hour; flex-start's own rate is not in the catalog."""
        return None if self.capacity == "flex-start" else self.row.price(self.spot)

    def __str__(self) -> str:
        return self.row.name if self.capacity == "on-demand" else f"{self.row.name}:{self.capacity}"


def parse(text: str, catalog: Catalog, *, spot: bool = False) -> tuple[Rung, ...]:
    """The rungs of ``v5e-4:spot,l4x2:spot,l4x2``, the first one to be tried first.

    Args:
        spot: what a rung without a capacity means (``--spot``).

    Raises:
        StepError: a row or capacity is unknown, a slice has several machines, or a rung stands twice.
    """
    rungs = tuple(_rung(part.strip(), catalog, spot) for part in text.split(",") if part.strip())
    if not rungs:
        raise StepError("--accelerator names nothing", advice="for example l4, or l4:spot,l4", kind="settings")
    for rung in rungs:
        if rungs.count(rung) > 1:
            raise StepError(f"--accelerator: {rung} stands twice in {text}", kind="settings")
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
    """The ladder cut where the pod itself changes: rungs of one group ask for the same resource and count by the same
    image, so one compute class can hold them; from group to group the run is submitted anew."""

    def asked(rung: Rung) -> tuple[str, int, str]:
        return rung.row.resource, rung.row.count, rung.row.image

    return [tuple(group) for _, group in groupby(rungs, asked)]
