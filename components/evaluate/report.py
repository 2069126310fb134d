"""The evaluation report: a page with the decision, metrics, slices and the task's figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from markupsafe import Markup

from components.core import reports
from components.evaluate.gate import TITLES, Decision, Outcome, Slice
from components.evaluate.statistics import Comparison

# Rows of the table, the worst slices first.
MAX_SLICES = 30
TONES: dict[Outcome, Literal["good", "bad", "info"]] = {"accepted": "good", "refused": "bad", "unchanged": "info"}


@dataclass(frozen=True)
class ChampionResults:
    """The champion: its version, its metrics on the same examples, and the paired comparison."""

    version: str
    values: Mapping[str, float]
    comparison: Comparison


@dataclass(frozen=True)
class Baseline:
    """A simple method for comparison: its title, and its metrics on the same examples.

    Attributes:
        better: metric -> ``max`` or ``min``, the better direction.
    """

    title: str
    values: Mapping[str, float]
    better: Mapping[str, str]


def page(
    decision: Decision,
    values: Mapping[str, float],
    intervals: Mapping[str, tuple[float, float]],
    slices: Sequence[Slice],
    worst: Slice | None,
    against: ChampionResults | None,
    baseline: Baseline | None,
    task_parts: Sequence[Markup],
    *,
    metric: str,
    details: Mapping[str, Any],
    latency: Mapping[str, float],
) -> str:
    """The whole page.

    Args:
        worst: the slice to highlight.
        metric: the paired metric, by which slices are ordered.
        details: facts for the top of the page.
        latency: ``latency_ms_batch_<size>`` -> milliseconds.
    """
    times = {
        name.replace("latency_ms_", "latency, ").replace("_", " "): f"{value:.2f} ms" for name, value in latency.items()
    }
    top = {
        metric: _spread(values[metric], intervals.get(metric), 4),
        **({f"worst slice ({metric})": f"{worst.name}: {worst.values[metric]:.3f}"} if worst else {}),
        **details,
        **times,
    }
    verdict = TITLES[decision.outcome]
    return reports.page(
        f"Evaluation: {verdict.lower()}",
        reports.note(f"{verdict}.", TONES[decision.outcome]),
        reports.facts(top),
        reports.section("Why", *(reports.note(reason.text, reason.kind) for reason in decision.reasons)),
        reports.section(
            "Metrics", *_baseline(values, baseline, metric), _metrics(values, intervals, against, baseline)
        ),
        *([reports.section("Slices", *_slices(slices, worst, metric))] if slices else []),
        *task_parts,
        subtitle="The test split, which training never saw.",
    )


def _spread(value: float, interval: tuple[float, float] | None, decimals: int) -> str:
    spread = "" if interval is None else f" ({interval[0]:.{decimals}f} to {interval[1]:.{decimals}f})"
    return f"{value:.{decimals}f}{spread}"


def _unbroken(text: str) -> str:
    """The text without line breaks: tables scroll on a narrow screen, and intervals are compared down a column."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def _baseline(values: Mapping[str, float], baseline: Baseline | None, metric: str) -> list[Markup]:
    """Whether the model is ahead of the baseline, by the paired metric or else the first that both have."""
    if baseline is None:
        return []
    named = metric if metric in baseline.values else next((name for name in baseline.values if name in values), "")
    if not named:
        return []
    ours, theirs = values[named], baseline.values[named]
    # More of the paired metric is better, even if it has no entry.
    ahead = ours < theirs if baseline.better.get(named) == "min" else ours > theirs
    result = "The model is ahead of the baseline" if ahead else "The model is not ahead of the baseline"
    text = f"{result}, {baseline.title}: {named.replace('_', ' ')} {ours:.4f} against {theirs:.4f}."
    return [reports.note(text, "good" if ahead else "warning")]


def _metrics(
    values: Mapping[str, float],
    intervals: Mapping[str, tuple[float, float]],
    against: ChampionResults | None,
    baseline: Baseline | None,
) -> Markup:
    head, caption = ["metric", "value (95% interval)"], "Intervals over test examples; docs/gate.md says which."
    rows = [
        [name.replace("_", " "), _unbroken(_spread(value, intervals.get(name), 4))] for name, value in values.items()
    ]
    others = [(baseline.title, baseline.values)] if baseline else []
    others += [(f"champion {against.version}", against.values)] if against else []
    for title, theirs in others:
        head.append(title)
        for row, name in zip(rows, values, strict=True):
            row.append(f"{theirs[name]:.4f}" if name in theirs else "")
    return reports.table(head, rows, caption=caption)


def _slices(slices: Sequence[Slice], worst: Slice | None, metric: str) -> list[Markup]:
    compared = any(one.champion for one in slices)
    rows = []
    for one in sorted(slices, key=lambda one: one.values[metric])[:MAX_SLICES]:
        row = [one.name if one.counts else f"{one.name} (too small to count)", one.n]
        row += [_unbroken(_spread(one.values[name], one.intervals[name], 3)) for name in one.values]
        if compared:
            change = one.champion
            text = f"{change.difference:+.3f} ({change.low:+.3f} to {change.high:+.3f})" if change else ""
            row.append(_unbroken(text))
        rows.append(row)
    head = ["slice", "examples", *(name.replace("_", " ") for name in slices[0].values)]
    counting = sum(one.counts for one in slices)
    parts = []
    if worst:
        named = f"The worst slice by {metric} is {worst.name}: {worst.values[metric]:.3f} on {worst.n:,} examples."
        parts.append(reports.text(named))
    caption = "The worst first, with 95% intervals."
    if compared:
        caption += f" Differences from the champion have intervals corrected for the {counting} slices that count."
    parts.append(reports.table([*head, f"{metric} against champion"] if compared else head, rows, caption=caption))
    if len(slices) > MAX_SLICES:
        parts.append(reports.text(f"{len(slices) - MAX_SLICES} better slices are in verdict.json."))
    return parts
