"""Estimates with their intervals: a value, and dot and whiskers on an axis that the rows of a table share."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from components.core import charts, reports
from components.core.reports import Cell, Chart, measure

# The part of a cell's width that its axis leaves free on each side, in percent.
MARGIN = 4.0


@dataclass(frozen=True)
class Estimate:
    """A value with its interval, if any, and that of what it is compared with, if anything."""

    value: float
    interval: tuple[float, float] | None = None
    rival: float | None = None

    def numbers(self) -> list[float]:
        every = (self.value, *(self.interval or ()), *(() if self.rival is None else (self.rival,)))
        return [number for number in every if math.isfinite(number)]


@dataclass(frozen=True)
class Scale:
    """The axis that the cells of a column share.

    Attributes:
        share: whether its values lie between 0 and 1, and are shown in percent.
    """

    low: float
    high: float
    share: bool

    @classmethod
    def around(cls, estimates: Iterable[Estimate], share: bool, others: Iterable[float] = ()) -> "Scale":
        """The scale of all estimates, and of other values such as a bound."""
        numbers = [number for one in estimates for number in one.numbers()] + [v for v in others if math.isfinite(v)]
        low, high = (min(numbers), max(numbers)) if numbers else (0.0, 1.0)
        spread = high - low or abs(high) or 1.0
        low, high = low - spread / 20, high + spread / 20
        return cls(max(0.0, low), min(1.0, high), True) if share else cls(low, high, False)

    @classmethod
    def of_differences(cls, one: Estimate, share: bool, bound: float = 0.0) -> "Scale":
        """The scale of a difference, around 0 and a bound."""
        ends = [*one.numbers(), 0.0, bound]
        spread = (max(ends) - min(ends)) / 20 or 0.01
        return cls(min(ends) - spread, max(ends) + spread, share)

    def position(self, value: float) -> str:
        """Where a value stands, in percent of the width; one beyond the axis stands at its end."""
        part = min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))
        return f"{MARGIN + (100 - 2 * MARGIN) * part:.2f}%"

    def axis(self) -> Chart:
        """The head of the column: its round values."""
        marks = charts.ticks(self.low, self.high, 4)
        decimals = max(0, -math.floor(math.log10(marks[1] - marks[0]) + 1e-9)) if len(marks) > 1 else 4
        texts = (
            f"{100 * mark:.{max(0, decimals - 2)}f} %" if self.share else f"{mark:,.{decimals}f}" for mark in marks
        )
        labels = Markup("").join(
            Markup('<text x="{}" y="13" text-anchor="middle">{}</text>').format(self.position(mark), text)
            for mark, text in zip(marks, texts, strict=True)
        )
        return Chart(Markup('<svg role="img" aria-label="Axis">{}</svg>').format(labels))

    def cells(self, one: Estimate, bound: float | None = None, kind: str = "ours") -> tuple[Cell, Chart]:
        """The cells of an estimate: its value, and dot and whiskers with its rival beside it.

        Args:
            bound: a value to draw as a line through the cell.
            kind: the class of the dot: ``ours``, ``theirs`` or ``other``.
        """
        parts: list[Markup] = []
        words = measure(one.value, self.share)
        if bound is not None:
            parts.append(
                Markup('<line class="bound" x1="{0}" x2="{0}" y1="0" y2="100%"/>').format(self.position(bound))
            )
        if one.rival is not None and math.isfinite(one.rival):
            parts.append(charts.diamond(self.position(one.rival)))
            words += f"; champion {measure(one.rival, self.share)}"
        if one.interval and all(map(math.isfinite, one.interval)):
            low, high = map(self.position, one.interval)
            parts.append(Markup('<line class="{}" x1="{}" x2="{}" y1="50%" y2="50%"/>').format(kind, low, high))
            ends = (measure(end, self.share) for end in one.interval)
            words = f"95% interval {' to '.join(ends)}; {words}"
        if math.isfinite(one.value) and not self.low <= one.value <= self.high:
            parts.append(charts.beyond(self.position(one.value), one.value < self.low))
        elif math.isfinite(one.value):
            parts.append(Markup('<circle class="{}" cx="{}" cy="50%" r="4"/>').format(kind, self.position(one.value)))
        drawing = Markup('<svg role="img"><title>{}</title>{}</svg>').format(words, Markup("").join(parts))
        return Cell(measure(one.value, self.share), one.value), Chart(drawing)


def verdict(
    metric: str,
    ours: Estimate,
    *,
    share: bool,
    bounds: Sequence[tuple[str, float]] = (),
    champion: tuple[str, float | None] | None = None,
    others: Mapping[str, float | None] | None = None,
) -> Markup:
    """The paired metric with its interval, the bound that it must meet, the champion and simple methods on one axis.

    Args:
        bounds: ``>=`` or ``<=``, and the value.
        share: whether the metric is shown in percent.
        champion: version, and its value on the same examples.
        others: title -> value.
    """
    rows: list[tuple[str, Estimate, str]] = [("this model", ours, "ours")]
    if champion and champion[1] is not None:
        rows.append((f"champion {champion[0]}", Estimate(champion[1]), "theirs"))
    rows += [(title, Estimate(value), "other") for title, value in (others or {}).items() if value is not None]
    # A simple method may be so far away that the axis would say nothing of the others.
    scale = Scale.around((one for _, one, kind in rows if kind != "other"), share, [bound for _, bound in bounds])
    bound = bounds[0][1] if bounds else None
    cells = [[title, *scale.cells(one, bound, kind)] for title, one, kind in rows]
    titles = {"interval": "with its 95% interval"}
    titles |= {"bound": f"required: {bounds[0][0]} {measure(bounds[0][1], share)}"} if bounds else {}
    table = reports.table(["", metric.replace("_", " "), scale.axis()], cells, sortable=False)
    return Markup('<div class="verdict">{}{}</div>').format(table, charts.keys(titles))


def metrics(
    values: Mapping[str, float],
    intervals: Mapping[str, tuple[float, float]],
    shares: Collection[str],
    rivals: Mapping[str, float],
    others: Sequence[tuple[str, Mapping[str, float]]],
) -> Markup:
    """A table of metrics with their intervals, those in percent on one axis.

    Args:
        rivals: the champion's values, to be drawn beside the model's.
        others: title and values of further columns.
    """
    estimates = {name: Estimate(value, intervals.get(name), rivals.get(name)) for name, value in values.items()}
    scale = Scale.around((one for name, one in estimates.items() if name in shares and one.interval), True)
    rows: list[list[Any]] = []
    for name, one in estimates.items():
        share = name in shares
        cells = scale.cells(one) if share else (Cell(measure(one.value), one.value), words(one.interval))
        columns = (
            Cell(measure(theirs[name], share), theirs[name]) if name in theirs else Cell("") for _, theirs in others
        )
        rows.append([name.replace("_", " "), *cells, *columns])
    head: list[str | Chart] = ["metric", "value", scale.axis(), *(title for title, _ in others)]
    table = reports.table(head, rows, caption="With 95% intervals over test examples; docs/gate.md says which.")
    return table + charts.keys({"interval": "this model", **({"theirs": "the champion"} if rivals else {})})


def words(interval: tuple[float, float] | None) -> Chart:
    return Chart(Markup("{} to {}").format(*map(measure, interval)) if interval else Markup(""))
