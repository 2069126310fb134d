"""Runs side by side: their settings and results, and whether these are the same."""

from collections.abc import Mapping
from typing import Any

from components.steps import STEPS
from pipelines.runs.display import outcome
from pipelines.runs.folder import Run

# Parts of names whose values a clock measured: never the same twice.
TIMED = ("seconds", "latency", "per_second", "_ms", "_us", "rate")


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values under dotted names."""
    flattened: dict[str, Any] = {}
    for name, value in values.items():
        flattened |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flattened


def different(values: list[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Dotted name -> its value in each, of those that are not all equal."""
    flattened = [flat(value) for value in values]
    names = dict.fromkeys(name for value in flattened for name in value)
    rows = {name: [value.get(name) for value in flattened] for name in names}
    return {name: row for name, row in rows.items() if any(value != row[0] for value in row)}


def side_by_side(records: list[dict[str, Any]]) -> dict[str, Any]:
    """The settings and versions that differ between runs, and all their metrics."""
    return {
        "runs": [record["id"] for record in records],
        "parameters": different([record["parameters"] for record in records]),
        "versions": different([{**record["versions"], "threads": record["threads"]} for record in records]),
        "metrics": {
            name: [record["metrics"].get(name) for record in records]
            for name in dict.fromkeys(name for record in records for name in record["metrics"])
        },
        "accepted": [record.get("accepted") for record in records],
        "outcome": [outcome(record) for record in records],
    }


def reproduction(first: Run, second: Run) -> list[dict[str, Any]]:
    """A row for each metric and artifact of a run and its reproduction: both values (an artifact's digest), and whether
    they are equal."""
    rows = []
    before, after = first.steps(), second.steps()
    for step in (name for name in STEPS if name in before or name in after):
        for output in STEPS[step].reproduced:
            artifacts = [records.get(step, {}).get("outputs", {}).get(output, {}) for records in (before, after)]
            values = [artifact.get("digest", "absent") for artifact in artifacts]
            rows.append({"what": f"{step} {output}", "values": values, "equal": values[0] == values[1]})
    metrics = [run.read()["metrics"] for run in (first, second)]
    for name in dict.fromkeys([*metrics[0], *metrics[1]]):
        if not any(part in name for part in TIMED):
            values = [run_metrics.get(name, "absent") for run_metrics in metrics]
            rows.append({"what": name, "values": values, "equal": values[0] == values[1]})
    return rows


def why(run: Run) -> list[dict[str, Any]]:
    """For each step that started: whether it ran or came from the cache, and what in its key has changed."""
    rows = []
    cache = run.read()["cache"]
    for step, record in run.steps().items():
        cached, changed = record["cached"], record.get("changed", [])
        if cached and record["from"] == run.id:
            reason = "kept from an earlier attempt of this run"
        elif cached:
            reason = f"taken from run {record['from']}: nothing in its key has changed"
        elif changed:
            reason = "computed: something has changed"
        elif step in STEPS and not STEPS[step].shared:
            reason = "computed: every run decides this step anew"
        elif not cache:
            reason = "computed: the run took nothing from others (--no-cache)"
        else:
            reason = "computed: no result was kept to compare with"
        rows.append({"step": step, "state": record["state"], "cached": cached, "reason": reason, "changed": changed})
    return rows
