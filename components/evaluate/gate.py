"""The gate: whether a model is good enough, and not worse than the champion, by plain functions of arrays.

Four rules give reasons, and each rule that fails refuses the model:

1. every bound in ``require`` holds on the whole test split (point estimates);
2. no slice is shown to miss a bound in ``require_slices``;
3. the challenger is shown not to be worse than the champion by more than ``margin`` (non-inferiority);
4. no slice is shown to be worse than the champion's by more than ``slice_margin``.

There are many slices, so each is tested at the error rate divided by their number (Bonferroni), which is valid however
slices overlap. Otherwise equally good challengers would often be refused by chance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from components.evaluate import statistics
from components.evaluate.statistics import Comparison
from components.tasks import EvaluationSettings, Threshold

Kind = Literal["good", "bad", "warning", "info"]


@dataclass(frozen=True)
class Reason:
    """One sentence of the decision; a ``bad`` one refuses the model."""

    kind: Kind
    text: str


@dataclass(frozen=True)
class Slice:
    """One slice of the test split.

    Attributes:
        n: number of examples.
        counts: whether it is large enough for the gate.
        values: metric -> mean.
        intervals: metric -> two-sided interval; for slices that count, corrected for their number.
        champion: comparison of the paired metric, with a corrected interval; None without a champion or if too small.
    """

    name: str
    n: int
    counts: bool
    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    champion: Comparison | None = None


@dataclass(frozen=True)
class Decision:
    """Whether the model is accepted, with the reasons in the order of the rules."""

    reasons: tuple[Reason, ...]

    @property
    def accepted(self) -> bool:
        return not any(reason.kind == "bad" for reason in self.reasons)


def evaluate_slices(
    masks: Mapping[str, np.ndarray],
    values: Mapping[str, np.ndarray],
    paired: tuple[np.ndarray, np.ndarray] | None,
    settings: EvaluationSettings,
) -> list[Slice]:
    """Means and intervals of each slice, and its comparison with the champion.

    Args:
        masks: slice name -> bool [n].
        values: metric -> float64 [n].
        paired: the paired metric of challenger and champion, float64 [n] each.
    """
    sizes = {name: int(mask.sum()) for name, mask in masks.items()}
    error = settings.error_rate / max(1, sum(size >= settings.min_slice for size in sizes.values()))
    slices = []
    for name, mask in masks.items():
        counts = sizes[name] >= settings.min_slice
        inside = {metric: column[mask] for metric, column in values.items()}
        comparison = None
        if paired and counts:
            new, old = (column[mask] for column in paired)
            comparison = statistics.compare(new, old, error, settings.resamples, settings.seed)
        slices.append(
            Slice(
                name,
                sizes[name],
                counts,
                {metric: float(column.mean()) for metric, column in inside.items()},
                # The interval of a slice that does not count is not corrected; it is for information.
                {m: statistics.mean_interval(v, error if counts else settings.error_rate) for m, v in inside.items()},
                comparison,
            )
        )
    return slices


def worst(slices: Sequence[Slice], metric: str) -> Slice | None:
    """The slice with the lowest mean of a metric, among those that count, if any, else among all."""
    candidates = [one for one in slices if one.counts] or slices
    return min(candidates, key=lambda one: one.values[metric], default=None)


def decide(
    values: Mapping[str, float],
    intervals: Mapping[str, tuple[float, float]],
    slices: Sequence[Slice],
    comparison: Comparison | None,
    settings: EvaluationSettings,
    *,
    metric: str,
    champion: str = "",
    notes: Sequence[str] = (),
) -> Decision:
    """Apply the four rules.

    Args:
        values: metric -> value on the whole test split.
        intervals: metric -> 95% interval, if any.
        slices: from ``evaluate_slices``.
        comparison: the paired metric against the champion on the whole test split; None without a champion.
        metric: the paired metric's name.
        champion: the champion's version.
        notes: further remarks on the champion.
    """
    reasons = [_threshold(bound, values, intervals) for bound in settings.require]
    for bound in settings.require_slices:
        reasons += _slice_threshold(bound, slices)
    if comparison is None:
        reasons.append(Reason("info", "There is no champion to compare with: this would be the first version."))
    else:
        reasons += [Reason("info", note) for note in notes]
        reasons.append(_comparison(comparison, settings, metric, champion))
        reasons += _slice_comparisons(slices, settings, metric, champion)
    reasons += _small_slices(slices, settings, metric)
    return Decision(tuple(reasons))


def _threshold(bound: Threshold, values: Mapping[str, float], intervals: Mapping[str, tuple[float, float]]) -> Reason:
    if bound.metric not in values:
        return Reason("bad", f"{bound.metric} is required ({bound}) but not defined on this test split.")
    value = values[bound.metric]
    low, high = intervals.get(bound.metric, (value, value))
    spread = f" (95% interval {low:.4g} to {high:.4g})" if bound.metric in intervals else ""
    if bound.holds(value):
        near = "" if bound.holds(low) and bound.holds(high) else "; the interval reaches beyond the bound"
        return Reason(
            "good", f"{bound.metric} is {value:.4g}{spread}, required {bound.relation} {bound.bound:g}{near}."
        )
    return Reason("bad", f"{bound.metric} is {value:.4g}{spread}, but {bound.relation} {bound.bound:g} is required.")


def _slice_threshold(bound: Threshold, slices: Sequence[Slice]) -> list[Reason]:
    reasons, counting = [], [one for one in slices if one.counts]
    for one in counting:
        value, (low, high) = one.values[bound.metric], one.intervals[bound.metric]
        if bound.holds(value):
            continue
        text = f"Slice {one.name!r}: {bound.metric} is {value:.4g} ({low:.4g} to {high:.4g}, {one.n} examples)"
        needed = f"{bound.relation} {bound.bound:g} is required"
        if not bound.holds(low) and not bound.holds(high):
            reasons.append(Reason("bad", f"{text}, but {needed}."))
        else:
            reasons.append(Reason("warning", f"{text}; {needed}, and so few examples do not show that it is missed."))
    if not any(reason.kind == "bad" for reason in reasons):
        reasons.append(Reason("good", f"No slice of {len(counting)} is shown to miss {bound}."))
    return reasons


def _comparison(compared: Comparison, settings: EvaluationSettings, metric: str, champion: str) -> Reason:
    confidence = f"{100 * (1 - settings.error_rate):g}%"
    text = (
        f"Against the champion {champion} on the same {compared.n:,} examples, {metric} differs by "
        f"{compared.difference:+.4f} (better on {compared.won}, worse on {compared.lost}; "
        f"{confidence} sure to be above {compared.low:+.4f})"
    )
    if settings.margin:
        if compared.above(-settings.margin):
            return Reason("good", f"{text}: not worse beyond the margin of {settings.margin:g}.")
        if compared.below(-settings.margin):
            return Reason("bad", f"{text}: worse beyond the margin of {settings.margin:g}.")
        return Reason("bad", f"{text}: a loss beyond the margin of {settings.margin:g} cannot be ruled out.")
    if compared.above(0):
        return Reason("good", f"{text}: better (margin 0 asks for that).")
    return Reason("bad", f"{text}: not shown to be better, which margin 0 asks for.")


def _slice_comparisons(
    slices: Sequence[Slice], settings: EvaluationSettings, metric: str, champion: str
) -> list[Reason]:
    compared = [(one, one.champion) for one in slices if one.champion]
    worse = [
        Reason(
            "bad",
            f"Slice {one.name!r}: against the champion {champion}, {metric} differs by {paired.difference:+.4f} "
            f"({paired.low:+.4f} to {paired.high:+.4f}, corrected for {len(compared)} slices; {one.n:,} examples): "
            f"worse beyond the slice margin of {settings.slice_margin:g}.",
        )
        for one, paired in compared
        if paired.below(-settings.slice_margin)
    ]
    if worse or not compared:
        return worse
    return [
        Reason(
            "good", f"No slice of {len(compared)} is shown to be worse beyond the margin of {settings.slice_margin:g}."
        )
    ]


def _small_slices(slices: Sequence[Slice], settings: EvaluationSettings, metric: str) -> list[Reason]:
    small = [one for one in slices if not one.counts]
    if not small:
        return []
    lowest = min(small, key=lambda one: one.values[metric])
    return [
        Reason(
            "warning",
            f"{len(small)} of {len(slices)} slices have fewer than {settings.min_slice} examples and do not count; the "
            f"lowest {metric} among them is {lowest.values[metric]:.4g} ({lowest.name}, {lowest.n} examples).",
        )
    ]
