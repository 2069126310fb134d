"""The page of all runs, one file that needs no server: a table to sort and filter, and two runs side by side."""

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from markupsafe import Markup

from components.core import reports
from components.core.errors import StepError
from components.core.estimates import Estimate, Scale
from components.core.files import write_atomically
from components.core.reports import Cell, Chart, measure, unbroken
from pipelines.runs import display, folder
from pipelines.runs.compare import flat
from pipelines.runs.folder import Run

FILE = "index.html"
# Settings of a run in its row; the comparison has all.
SHOWN = 6


def write(root: Path) -> Path:
    """Write the page of all runs, and return its path.

    Raises:
        StepError: there are no runs.
    """
    runs = folder.every(root)
    if not runs:
        raise StepError(f"there are no runs in {root}", advice=folder.START, kind="settings")
    path = root / FILE
    write_atomically(path, text([(run, folder.read_or_damaged(run)) for run in runs]))
    return path


def text(runs: Sequence[tuple[Run, dict[str, Any]]]) -> str:
    """The page of runs and their records, the oldest first."""
    newest = [(run, _complete(record)) for run, record in reversed(runs)]
    records = [record for _, record in newest]
    settings = {record["id"]: flat(record["parameters"]) for record in records}
    usual = _usual(records, settings)
    metrics = {record["id"]: display.paired_metric(record) for record in records}
    scales = _scales(records, metrics)
    rows = [_row(run, record, settings, usual, metrics[record["id"]], scales) for run, record in newest]
    axis = next(iter(scales.values())).axis() if len(scales) == 1 else Chart(Markup("interval"))
    head: list[str | Chart] = [
        "run",
        "tick",
        "experiment",
        "status",
        "decision",
        "metric",
        "value",
        axis,
        "unusual settings",
        "started",
        "took",
    ]
    table = reports.table(head, rows, caption=f"{len(rows):,} runs, the newest first.")
    return reports.page(
        "Runs",
        _filters(records),
        reports.section("All runs", Markup('<div id="runs">{}</div>').format(table)),
        Markup(
            '<section id="comparison" hidden><h2>Two runs side by side</h2><div aria-live="polite"></div></section>'
        ),
        _data(newest, settings, usual, metrics),
        subtitle="Tick two runs to compare them. An unusual setting differs from that of most runs of its experiment.",
        navigation=Markup(""),
    )


def _complete(record: dict[str, Any]) -> dict[str, Any]:
    """A record with all that the page reads; a damaged one has hardly anything."""
    empty: dict[str, Any] = {"experiment": "", "parameters": {}, "metrics": {}, "seconds": 0, "started": None}
    return {**empty, **record}


def _usual(
    records: Sequence[Mapping[str, Any]], settings: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, str]]:
    """Experiment -> setting -> its most frequent value, as JSON."""
    counts: dict[str, dict[str, Counter[str]]] = {}
    for record in records:
        own = counts.setdefault(record["experiment"], {})
        for name, value in settings[record["id"]].items():
            own.setdefault(name, Counter())[json.dumps(value, sort_keys=True)] += 1
    return {
        experiment: {name: values.most_common(1)[0][0] for name, values in own.items()}
        for experiment, own in counts.items()
    }


def _unusual(
    record: Mapping[str, Any], settings: Mapping[str, Any], usual: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    own = usual[record["experiment"]]
    return {name: value for name, value in settings.items() if json.dumps(value, sort_keys=True) != own[name]}


def _number(record: Mapping[str, Any], name: str) -> float | None:
    value = record["metrics"].get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _estimate(record: Mapping[str, Any], metric: str) -> Estimate | None:
    value = _number(record, metric)
    return None if value is None else Estimate(value, display.interval(record["metrics"], metric))


def _scales(records: Sequence[Mapping[str, Any]], metrics: Mapping[str, str]) -> dict[str, Scale]:
    """Metric -> the axis of all runs that are judged by it."""
    columns: dict[str, list[Estimate]] = {}
    shares: dict[str, bool] = {}
    for record in records:
        metric = metrics[record["id"]]
        if one := _estimate(record, metric):
            columns.setdefault(metric, []).append(one)
            shares[metric] = shares.get(metric, False) or metric in display.shares(record)
    return {metric: Scale.around(column, shares[metric]) for metric, column in columns.items()}


def _row(
    run: Run,
    record: Mapping[str, Any],
    settings: Mapping[str, Mapping[str, Any]],
    usual: Mapping[str, Mapping[str, str]],
    metric: str,
    scales: Mapping[str, Scale],
) -> list[Any]:
    known = (run.folder / FILE).is_file()
    name: Markup | str = reports.link(f"{run.id}/{FILE}", run.id) if known else run.id
    tick = Markup('<input type="checkbox" name="{0}" aria-label="Compare {0}">').format(run.id)
    one = _estimate(record, metric)
    value, chart = scales[metric].cells(one) if one else (Cell(""), Chart(Markup("")))
    started = record["started"]
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(started)) if started else ""
    different = [f"{name}={value}" for name, value in _unusual(record, settings[run.id], usual).items()]
    more = f" and {len(different) - SHOWN} more" if len(different) > SHOWN else ""
    return [
        name,
        tick,
        record["experiment"],
        record["status"],
        display.outcome(record),
        metric.replace("_", " ") if one else "",
        value,
        chart,
        ", ".join(different[:SHOWN]) + more,
        Cell(unbroken(when), started),
        Cell(unbroken(display.seconds(record["seconds"])), record["seconds"]),
    ]


def _filters(records: Sequence[Mapping[str, Any]]) -> Markup:
    """What a script shows: without it, it would do nothing."""
    columns = {
        "experiment": [record["experiment"] for record in records],
        "status": [record["status"] for record in records],
        "decision": [display.outcome(record) for record in records],
    }
    parts = [Markup('<label>text <input type="search" id="text"></label>')]
    for name, values in columns.items():
        options = (
            Markup("<option>{}</option>").format(value) for value in sorted({value for value in values if value})
        )
        choices = Markup("").join([Markup('<option value="">all</option>'), *options])
        parts.append(Markup('<label>{} <select data-column="{}">{}</select></label>').format(name, name, choices))
    count = Markup('<span id="count" role="status"></span>')
    return Markup('<form class="filters" hidden>{}{}</form>').format(Markup(" ").join(parts), count)


def _data(
    runs: Sequence[tuple[Run, Mapping[str, Any]]],
    settings: Mapping[str, Mapping[str, Any]],
    usual: Mapping[str, Mapping[str, str]],
    metrics: Mapping[str, str],
) -> Markup:
    """What a comparison shows of each run, and the script that makes it."""
    values = {}
    for run, record in runs:
        shares = display.shares(record)
        named = [name for name in record["metrics"] if not name.endswith(("_low", "_high"))]
        numbers = {name: value for name in named if (value := _number(record, name)) is not None}
        values[run.id] = {
            "experiment": record["experiment"],
            "metric": metrics[run.id],
            "test": _test_data(run),
            "metrics": {
                name: [
                    measure(value, name in shares),
                    _words(display.interval(record["metrics"], name), name in shares),
                ]
                for name, value in numbers.items()
            },
            "settings": {name: str(value) for name, value in _unusual(record, settings[run.id], usual).items()},
        }
    shown = {"runs": values, "usual": usual}
    document = json.dumps(shown, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return Markup('<script type="application/json" id="data">{}</script><script>{}</script>').format(
        Markup(document), Markup(_script())
    )


@cache
def _script() -> str:
    return (Path(__file__).parent / "templates/runs.js").read_text()


def _test_data(run: Run) -> str:
    """The fingerprint of the data by which a run was evaluated; empty if it was not."""
    step = folder.read_step(run.folder / "steps/evaluate.json") or {}
    return str(step.get("inputs", {}).get("examples", {}).get("metadata", {}).get("fingerprint", ""))


def _words(interval: tuple[float, float] | None, share: bool) -> str:
    return " to ".join(measure(end, share) for end in interval) if interval else ""
