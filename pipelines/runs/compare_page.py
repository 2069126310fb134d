"""The page of a comparison of runs: their paired test where the test examples are the same, metrics and settings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from components.core import charts, estimates, reports
from components.core.estimates import Estimate, Scale
from components.core.files import write_atomically
from components.core.reports import Cell, Chart, measure, unbroken
from components.evaluate import paired
from components.evaluate.statistics import Comparison
from pipelines.runs import compare, display
from pipelines.runs import page as run_page
from pipelines.runs.folder import Run

FILE = "comparison.html"
# With more runs, their metrics are numbers alone.
DRAWN = 4


def write(root: Path, runs: Sequence[Run]) -> Path:
    """Write the page of two or more runs, in place of the last comparison's, and return its path."""
    path = root / FILE
    write_atomically(path, text(runs))
    return path


def text(runs: Sequence[Run]) -> str:
    """The page: every run is compared with the first."""
    records = [run.read() for run in runs]
    table = compare.side_by_side(records)
    first, *others = runs
    return reports.page(
        f"Comparison of {len(runs)} runs",
        *(reports.section(f"{other.id} against {first.id}", *_against(first, other, records[0])) for other in others),
        reports.section("Metrics", _metrics(records)),
        reports.section("Settings that differ", _table("setting", table["parameters"], table["runs"]), half=True),
        reports.section("Versions that differ", _table("version", table["versions"], table["runs"]), half=True),
        reports.section("Their pages", _links(runs)),
        navigation=Markup(""),
    )


def _against(first: Run, other: Run, record: Mapping[str, Any]) -> list[Markup]:
    """The difference on the same test examples, or why there is none to show."""
    folders = [run.output("evaluate", "verdict") for run in (first, other)]
    if folders[0] is None or folders[1] is None:
        which = first if folders[0] is None else other
        return [reports.note(f"The results of {which.id} are not on this machine, or it was not evaluated.", "warning")]
    bounds = getattr(display.evaluation_settings(record), "paired_range", (0.0, 1.0))
    compared = paired.compare(folders[0], folders[1], bounds)
    if isinstance(compared, str):
        return [reports.note(compared, "warning")]
    metric, share = display.paired_metric(record), display.paired_metric(record) in display.shares(record)
    return [reports.note(conclusion(compared, first.id, other.id, metric)), _difference(compared, metric, share)]


def conclusion(compared: Comparison, first: str, other: str, metric: str) -> str:
    """What the paired test shows, in a sentence."""
    named = metric.replace("_", " ")
    if not compared.won and not compared.lost:
        return f"On each of the {compared.n:,} test examples, which are the same, both have the same {named}."
    start = f"On the same {compared.n:,} test examples"
    if compared.above(0):
        return f"{start}, {other} is shown to have the better {named}."
    if compared.below(0):
        return f"{start}, {first} is shown to have the better {named}."
    return f"{start}, neither is shown to have the better {named}: the interval of the difference contains 0."


def _difference(compared: Comparison, metric: str, share: bool) -> Markup:
    one = Estimate(compared.difference, (compared.low, compared.high))
    scale = Scale.of_differences(one, share)
    value = Cell(measure(one.value, share, sign=True), one.value)
    ends = unbroken(" to ".join(measure(end, share, sign=True) for end in (compared.low, compared.high)))
    row = [metric.replace("_", " "), value, scale.cells(one, 0.0)[1], ends, compared.won, compared.lost, compared.n]
    head: list[str | Chart] = [
        "metric",
        "difference",
        scale.axis(),
        "95% interval",
        "better on",
        "worse on",
        "examples",
    ]
    keys = charts.keys({"interval": "with its 95% interval", "bound": "no difference"})
    return reports.table(head, [row]) + keys


def _metrics(records: Sequence[Mapping[str, Any]]) -> Markup:
    """Each metric of all runs, with intervals on one axis for those between 0 and 1."""
    shares = frozenset[str]().union(*map(display.shares, records))
    names = dict.fromkeys(
        name
        for record in records
        for name, value in record["metrics"].items()
        if isinstance(value, int | float) and not isinstance(value, bool) and not name.endswith(("_low", "_high"))
    )
    estimated = {
        name: [
            Estimate(float(record["metrics"][name]), display.interval(record["metrics"], name))
            if name in record["metrics"]
            else None
            for record in records
        ]
        for name in names
    }
    drawn = (one for name, row in estimated.items() if name in shares for one in row if one and one.interval)
    scale = Scale.around(drawn, True)
    head: list[str | Chart] = ["metric"]
    for record in records:
        head += [record["id"], *([scale.axis()] if len(records) <= DRAWN else [])]
    rows = []
    for name, row in estimated.items():
        cells: list[Any] = [_title(name)]
        for one in row:
            cells += _cells(name, one, scale, name in shares)[: 2 if len(records) <= DRAWN else 1]
        rows.append(cells)
    return reports.table(head, rows, caption="With 95% intervals, each for its own test examples.")


def _title(name: str) -> str:
    latency = name.startswith(run_page.LATENCY)
    return (
        f"latency, {name.removeprefix(run_page.LATENCY)} (ms)".replace("_", " ") if latency else name.replace("_", " ")
    )


def _cells(name: str, one: Estimate | None, scale: Scale, share: bool) -> tuple[Cell, Chart]:
    if one is None:
        return Cell(""), Chart(Markup(""))
    return scale.cells(one) if share else (Cell(measure(one.value), one.value), estimates.words(one.interval))


def _table(kind: str, rows: Mapping[str, Sequence[Any]], ids: Sequence[str]) -> Markup:
    if not rows:
        return reports.text("None.")
    return reports.table([kind, *ids], [[name, *map(str, row)] for name, row in rows.items()], numeric=False)


def _links(runs: Sequence[Run]) -> Markup:
    items = (
        reports.link(f"{run.id}/{run_page.FILE}", run.id) if (run.folder / run_page.FILE).is_file() else run.id
        for run in runs
    )
    return Markup("<ul>{}</ul>").format(Markup("").join(Markup("<li>{}</li>").format(item) for item in items))
