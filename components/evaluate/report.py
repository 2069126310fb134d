"""The evaluation report: a page with the decision, metrics, slices and the task's figures."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from markupsafe import Markup

from components.core import charts, estimates, reports
from components.core.estimates import Estimate, Scale
from components.core.reports import Cell, Chart, measure
from components.evaluate.gate import TITLES, Decision, Outcome, Slice
from components.evaluate.statistics import Comparison
from components.tasks import Threshold

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
    shares: Collection[str] = (),
    require: Sequence[Threshold] = (),
    margin: float = 0.0,
    trivial: tuple[str, float] | None = None,
) -> str:
    """The whole page.

    Args:
        worst: the slice to highlight.
        metric: the paired metric, by which slices are ordered.
        details: facts for the top of the page.
        latency: ``latency_ms_batch_<size>`` -> milliseconds.
        shares: metrics to show in percent.
        require: bounds on the whole test split.
        margin: how much worse than the champion the model may be.
        trivial: a method that looks at nothing, and its paired metric.
    """
    times = {
        name.replace("latency_ms_", "latency, ").replace("_", " "): f"{value:.2f}\N{NO-BREAK SPACE}ms"
        for name, value in latency.items()
    }
    share = metric in shares
    top = {
        **({f"worst slice ({metric})": f"{worst.name}: {measure(worst.values[metric], share)}"} if worst else {}),
        **details,
        **times,
    }
    title = TITLES[decision.outcome]
    others = {f"baseline: {baseline.title}": baseline.values.get(metric)} if baseline else {}
    others |= {trivial[0]: trivial[1]} if trivial else {}
    return reports.page(
        f"Evaluation: {title.lower()}",
        reports.note(f"{title}.", TONES[decision.outcome]),
        estimates.verdict(
            metric,
            Estimate(values[metric], intervals.get(metric)),
            share=share,
            bounds=[(bound.relation, bound.bound) for bound in require if bound.metric == metric],
            champion=(against.version, against.values.get(metric)) if against else None,
            others=others,
        ),
        *([_difference(metric, against, margin, share)] if against else []),
        reports.facts(top),
        reports.section("Why", *(reports.note(reason.text, reason.kind) for reason in decision.reasons)),
        reports.section(
            "Metrics", *_baseline(values, baseline, metric), _metrics(values, intervals, against, baseline, shares)
        ),
        *([reports.section("Slices", *_slices(slices, worst, metric, shares, against))] if slices else []),
        *task_parts,
        subtitle="The test split, which training never saw.",
    )


def _difference(metric: str, against: ChampionResults, margin: float, share: bool) -> Markup:
    """The difference from the champion with its bounds, and the margin that they must keep, on one axis."""
    compared = against.comparison
    one = Estimate(compared.difference, (compared.low, compared.high))
    scale = Scale.of_differences(one, share, -margin)
    _, chart = scale.cells(one, -margin)
    value = Cell(measure(compared.difference, share, sign=True), compared.difference)
    counts = [compared.won, compared.lost, compared.n]
    table = reports.table(
        [f"{metric.replace('_', ' ')} minus that of", "difference", scale.axis(), "better on", "worse on", "examples"],
        [[f"champion {against.version}", value, chart, *counts]],
    )
    titles = {"interval": "with a bound on each side", "bound": f"margin: {measure(-margin, share)}"}
    return Markup('<div class="verdict">{}{}</div>').format(table, charts.keys(titles))


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
    shares: Collection[str],
) -> Markup:
    others = [(baseline.title, baseline.values)] if baseline else []
    others += [(f"champion {against.version}", against.values)] if against else []
    rivals = against.values if against else {}
    return estimates.metrics(values, intervals, shares, rivals, others)


def _slices(
    slices: Sequence[Slice],
    worst: Slice | None,
    metric: str,
    shares: Collection[str],
    against: ChampionResults | None,
) -> list[Markup]:
    shown = sorted(slices, key=lambda one: one.values[metric])[:MAX_SLICES]
    columns = {
        name: [
            Estimate(one.values[name], one.intervals[name], _rival(one, metric) if name == metric else None)
            for one in shown
        ]
        for name in slices[0].values
    }
    scales = {name: Scale.around(column, name in shares) for name, column in columns.items()}
    rows = []
    for number, one in enumerate(shown):
        row: list[Any] = [one.name if one.counts else f"{one.name} (too small to count)", one.n]
        for name, column in columns.items():
            row += scales[name].cells(column[number])
        rows.append(row)
    head: list[str | Chart] = ["slice", "examples"]
    for name, scale in scales.items():
        head += [name.replace("_", " "), scale.axis()]
    parts = []
    if worst:
        value = measure(worst.values[metric], metric in shares)
        parts.append(reports.text(f"The worst slice by {metric} is {worst.name}: {value} on {worst.n:,} examples."))
    compared = any(one.champion for one in shown)
    titles = {"interval": "this model with its 95% interval"}
    titles |= {"theirs": f"champion {against.version}, {metric}"} if against and compared else {}
    parts += [reports.table(head, rows, caption="The worst first, with 95% intervals."), charts.keys(titles)]
    if len(slices) > MAX_SLICES:
        parts.append(reports.text(f"{len(slices) - MAX_SLICES} better slices are in verdict.json."))
    return parts


def _rival(one: Slice, metric: str) -> float | None:
    """The champion's paired metric on a slice."""
    return one.values[metric] - one.champion.difference if one.champion else None
