"""The gate: whether a model is good enough, and not worse than the champion, by plain functions of arrays.

Five rules give reasons, and each rule that fails refuses the model:

1. every bound in ``require`` holds on the whole test split (point estimates);
2. no slice is shown to miss a bound in ``require_slices``;
3. the challenger is shown not to be worse than the champion by more than ``margin`` (non-inferiority);
4. nor than the anchor, the best version there ever was: otherwise each champion might be worse than the one before by
   nearly the margin, and many nights by any amount;
5. no slice is shown to be worse than the champion's by more than ``slice_margin``.

There are many slices, so each is tested at the error rate divided by their number (Bonferroni), which is valid however
slices overlap. Otherwise equally good challengers would often be refused by chance.

A challenger with the champion's own weights is neither accepted nor refused: nothing is new.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from components.evaluate import statistics
from components.evaluate.statistics import Comparison
from components.metrics import confidence
from components.tasks import EvaluationSettings, Threshold

Kind = Literal["good", "bad", "warning", "info"]
Outcome = Literal["accepted", "refused", "unchanged"]
TITLES: Mapping[Outcome, str] = {
    "accepted": "Accepted",
    "refused": "Refused",
    "unchanged": "Nothing new: the champion stays",
}


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
        intervals: metric -> two-sided 95% interval.
        corrected: metric of ``require_slices`` -> interval corrected for the number of slices; for those that count.
        champion: comparison of the paired metric, with a corrected interval; None without a champion or if too small.
    """

    name: str
    n: int
    counts: bool
    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    corrected: Mapping[str, tuple[float, float]]
    champion: Comparison | None = None


@dataclass(frozen=True)
class Opponent:
    """A published version on the same test examples.

    Attributes:
        comparison: the challenger against it.
        identical: whether both have the same weights.
    """

    version: str
    comparison: Comparison
    identical: bool = False


@dataclass(frozen=True)
class Decision:
    """The outcome, with the reasons in the order of the rules.

    Attributes:
        unchanged: whether the challenger is the champion itself, which stays, unless a bound refuses it.
    """

    reasons: tuple[Reason, ...]
    unchanged: bool = False

    @property
    def outcome(self) -> Outcome:
        if any(reason.kind == "bad" for reason in self.reasons):
            return "refused"
        return "unchanged" if self.unchanged else "accepted"

    @property
    def accepted(self) -> bool:
        return self.outcome == "accepted"


def evaluate_slices(
    masks: Mapping[str, np.ndarray],
    values: Mapping[str, np.ndarray],
    paired: tuple[np.ndarray, np.ndarray] | None,
    settings: EvaluationSettings,
    groups: np.ndarray | None = None,
) -> list[Slice]:
    """Means and intervals of each slice, and its comparison with the champion.

    Args:
        masks: slice name -> bool [n].
        values: metric -> float64 [n].
        paired: the paired metric of challenger and champion, float64 [n] each.
        groups: numbers of groups whose examples are not independent, [n].
    """
    sizes = {name: int(mask.sum()) for name, mask in masks.items()}
    error = settings.error_rate / max(1, sum(size >= settings.min_slice for size in sizes.values()))
    bounded = {bound.metric for bound in settings.require_slices}
    slices = []
    for name, mask in masks.items():
        counts = sizes[name] >= settings.min_slice
        inside = {metric: column[mask] for metric, column in values.items()}
        own = None if groups is None else groups[mask]

        def interval(
            metric: str, error_rate: float, inside: Mapping[str, np.ndarray] = inside, own: np.ndarray | None = own
        ) -> tuple[float, float]:
            return confidence.mean(inside[metric], error_rate, bounded=metric in settings.shares, groups=own)

        comparison = None
        if paired and counts:
            new, old = (column[mask] for column in paired)
            comparison = statistics.compare(new, old, error, settings.paired_range, own)
        slices.append(
            Slice(
                name,
                sizes[name],
                counts,
                {metric: float(column.mean()) for metric, column in inside.items()},
                {metric: interval(metric, 1 - confidence.LEVEL) for metric in inside},
                {metric: interval(metric, error) for metric in bounded if counts},
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
    settings: EvaluationSettings,
    *,
    metric: str,
    examples: int,
    champion: Opponent | None = None,
    anchor: Opponent | None = None,
    notes: Sequence[Reason] = (),
) -> Decision:
    """Apply the rules.

    Args:
        values: metric -> value on the whole test split.
        intervals: metric -> 95% interval, if any.
        slices: from ``evaluate_slices``.
        metric: the paired metric's name.
        examples: number of test examples.
        champion: the version that is served, if any.
        anchor: the version that many small losses must not lead away from, if it is another one.
        notes: further remarks.
    """
    reasons = [_threshold(bound, values, intervals) for bound in settings.require]
    for bound in settings.require_slices:
        reasons += _slice_threshold(bound, slices)
    reasons += notes
    if champion is None:
        reasons.append(Reason("info", "There is no champion to compare with: this would be the first version."))
        if problem := settings.too_few(examples):
            reasons.append(Reason("warning", f"From the next version on: {problem}."))
    elif champion.identical:
        text = f"The model has the same weights as the champion {champion.version}"
        if settings.equal_weights == "keep":
            again = "to export it again, such as to other formats, set evaluation.equal_weights=publish"
            reasons.append(Reason("info", f"{text}: nothing is new, and the champion stays; {again}."))
            return Decision(tuple(reasons), unchanged=True)
        reasons.append(Reason("good", f"{text}, which evaluation.equal_weights=publish publishes again."))
    else:
        reasons.append(_comparison(champion, settings, metric, "champion"))
        # A margin of 0 asks for better models, which lead nowhere.
        if anchor and settings.margin and not anchor.identical:
            reasons.append(_comparison(anchor, settings, metric, "anchor"))
        reasons += _slice_comparisons(slices, settings, metric, champion.version)
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
        value, (low, high) = one.values[bound.metric], one.corrected[bound.metric]
        if bound.holds(value):
            continue
        text = f"Slice {one.name!r}: {bound.metric} is {value:.4g} ({one.n} examples)"
        needed = f"{bound.relation} {bound.bound:g} is required"
        if not bound.holds(low) and not bound.holds(high):
            reasons.append(
                Reason(
                    "bad", f"{text}, but {needed}, which it is shown to miss (corrected for {len(counting)} slices)."
                )
            )
        else:
            reasons.append(Reason("warning", f"{text}; {needed}, and so few examples do not show that it is missed."))
    if not any(reason.kind == "bad" for reason in reasons):
        reasons.append(Reason("good", f"No slice of {len(counting)} is shown to miss {bound}."))
    return reasons


def _comparison(opponent: Opponent, settings: EvaluationSettings, metric: str, role: str) -> Reason:
    compared, confidence_level = opponent.comparison, f"{100 * (1 - settings.error_rate):g}%"
    text = (
        f"Against the {role} {opponent.version} on the same {compared.n:,} examples, {metric} differs by "
        f"{compared.difference:+.4f} (better on {compared.won}, worse on {compared.lost}; "
        f"{confidence_level} sure to be above {compared.low:+.4f})"
    )
    margin = settings.margin
    if margin:
        if compared.above(-margin):
            return Reason("good", f"{text}: not worse beyond the margin of {margin:g}.")
        if compared.below(-margin):
            return Reason("bad", f"{text}: worse beyond the margin of {margin:g}.")
        return Reason(
            "bad",
            f"{text}: too few examples to show that {metric} fell by less than {margin:g}. {_help(compared, settings)}",
        )
    if compared.above(0):
        return Reason("good", f"{text}: better (margin 0 asks for that).")
    return Reason("bad", f"{text}: not shown to be better, which margin 0 asks for.")


def _help(compared: Comparison, settings: EvaluationSettings) -> str:
    """What would let an equally good model pass in four of five cases, if it disagreed as often."""
    margin = max(compared.detectable(), settings.smallest_margin(compared.units))
    needed = max(compared.needed(settings.margin), settings.smallest_test_split())
    what = "test examples" if compared.units == compared.n else "groups of test examples"
    return (
        f"Equally good models that disagree as much pass in four of five cases with about {needed:,} {what} instead of "
        f"{compared.units:,} (data.split, data.limit), or at evaluation.margin={margin:.2g}."
    )


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
