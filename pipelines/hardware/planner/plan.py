"""A plan: every row that a job fits, and the best one under a deadline and a budget."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from components.core.errors import StepError
from pipelines.hardware.catalog.row import Row
from pipelines.hardware.planner.calibration import Calibration
from pipelines.hardware.planner.cost import INTERRUPTIONS
from pipelines.hardware.planner.estimate import Assumptions, Estimate, Refusal, estimate, misfit
from pipelines.hardware.planner.explain import Fact, explained
from pipelines.hardware.planner.jobs import Job

__all__ = ["Estimate", "Fact", "Plan", "Refusal", "explain", "misfit", "plan"]

Prefer = Literal["cost", "time"]


@dataclass(frozen=True)
class Plan:
    """The plan of a job.

    Attributes:
        job: its record.
        lines: the estimates of all rows that it fits, the preferred ones first.
        refused: the other rows.
        choice: the best row that meets deadline and budget, if any.
        nearest: otherwise the row that comes nearest to meeting them.
        verdict: the recommendation in a sentence.
        deadline_hours: as given.
        budget: USD, as given.
        prefer: ``cost`` or ``time``.
        spot: whether times and costs of spot capacity decide.
        interruptions: of spot capacity, an hour, as assumed.
    """

    job: dict[str, Any]
    lines: tuple[Estimate, ...]
    refused: tuple[Refusal, ...]
    choice: str
    nearest: str
    verdict: str
    deadline_hours: float | None
    budget: float | None
    prefer: Prefer
    spot: bool
    interruptions: float

    def record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def plan(
    job: Job,
    rows: Iterable[Row],
    *,
    deadline_hours: float | None = None,
    budget: float | None = None,
    prefer: Prefer = "cost",
    spot: bool = False,
    calibrations: Sequence[Calibration] = (),
    interruptions: float = INTERRUPTIONS,
    start_minutes: float | None = None,
) -> Plan:
    """Plan a job on every row.

    Args:
        deadline_hours: from the submission until training ends.
        budget: USD for the training step's machine.
        prefer: what decides among the rows that meet both.
        spot: decide by the expected time and cost of spot capacity.
        calibrations: measured by finished runs.
        interruptions: of spot capacity, an hour.
        start_minutes: until the first step; None for the planner's own estimate.

    Raises:
        StepError: the job fits no row.
    """
    assumed = Assumptions(interruptions, None if start_minutes is None else 60 * start_minutes, calibrations)
    lines, refused = [], []
    for row in rows:
        if reason := misfit(job, row):
            refused.append(Refusal(row.name, reason))
        else:
            lines.append(estimate(job, row, assumed))
    if not lines:
        raise StepError(
            f"no accelerator can hold {job.experiment}: {'; '.join(f'{row.row}: {row.reason}' for row in refused[:3])}",
            advice="change training.batch_size or training.precision",
            kind="settings",
        )
    lines.sort(key=lambda line: _preference(line, prefer, spot))
    meeting = [line for line in lines if _excess(line, deadline_hours, budget, spot) == 0]
    nearest = min(
        lines, key=lambda line: (_excess(line, deadline_hours, budget, spot), *_preference(line, prefer, spot))
    )
    return Plan(
        job=job.record(),
        lines=tuple(lines),
        refused=tuple(refused),
        choice=meeting[0].row if meeting else "",
        nearest="" if meeting else nearest.row,
        verdict=_verdict(meeting, nearest, deadline_hours, budget, prefer, spot),
        deadline_hours=deadline_hours,
        budget=budget,
        prefer=prefer,
        spot=spot,
        interruptions=interruptions,
    )


def explain(
    job: Job,
    row: Row,
    *,
    calibrations: Sequence[Calibration] = (),
    interruptions: float = INTERRUPTIONS,
    start_minutes: float | None = None,
) -> tuple[Fact, ...]:
    """Every number of a row's estimate, with its formula and its source; arguments as for ``plan``.

    Raises:
        StepError: the job does not fit the row.
    """
    start = None if start_minutes is None else 60 * start_minutes
    return explained(job, row, Assumptions(interruptions, start, calibrations))


def _preference(line: Estimate, prefer: Prefer, spot: bool) -> tuple[float, float]:
    """The key to sort by; a row without a price comes last by cost."""
    price = line.price(spot)
    cost = math.inf if price is None else price
    return (cost, line.hours(spot)) if prefer == "cost" else (line.hours(spot), cost)


def _excess(line: Estimate, deadline_hours: float | None, budget: float | None, spot: bool) -> float:
    """The factor by which a row misses deadline and budget, as a logarithm; 0 if it meets both."""
    missed = 0.0
    if deadline_hours is not None:
        missed += max(0.0, math.log(line.hours(spot) / deadline_hours))
    if budget is not None:
        price = line.price(spot)
        missed += math.inf if price is None else max(0.0, math.log(price / budget))
    return missed


def _verdict(
    meeting: Sequence[Estimate],
    nearest: Estimate,
    deadline: float | None,
    budget: float | None,
    prefer: Prefer,
    spot: bool,
) -> str:
    within = "" if deadline is None else f"within {format_duration(3600 * deadline)}"
    limits = " and ".join(filter(None, (within, "" if budget is None else f"for at most {_usd(budget)}")))
    if not meeting:
        return f"nothing trains it {limits}; {nearest.row} comes nearest: {_time_and_cost(nearest, spot)}"
    best = meeting[0]
    superlative = "the cheapest" if prefer == "cost" and best.price(spot) is not None else "the fastest"
    return f"{best.row} is {superlative}{f' {limits}' if limits else ''}: {_time_and_cost(best, spot)}"


def _time_and_cost(line: Estimate, spot: bool) -> str:
    price = line.price(spot)
    money = "price not known" if price is None else _usd(price)
    return f"{format_duration(3600 * line.hours(spot))}, {money}{' on spot' if spot else ''}"


def _usd(value: float) -> str:
    """US dollars with cents, or with two significant figures below a cent."""
    return f"{value:,.2f} USD" if value >= 0.01 else f"{value:.2g} USD"


def format_duration(seconds: float) -> str:
    """A duration such as ``45 s``, ``12 min``, ``3 h 20 min`` or ``4 d 6 h``."""
    if math.isinf(seconds):
        return "for ever"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} d {hours % 24} h" if hours % 24 else f"{hours // 24} d"
