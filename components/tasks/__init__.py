"""Tasks, one a folder: what an example is, what trains on it, how a model is evaluated, shown and served.

``contract.py`` says what a task's folder holds; this file has the settings of evaluation that all tasks share.
"""

import math
import re
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from components.core.choices import load, nearest
from components.core.config import FROM_ONE_LINE, Positive, Section

THRESHOLD = re.compile(r"^\s*([a-z0-9_@]+)\s*(>=|<=)\s*(-?[0-9.]+(?:e-?[0-9]+)?)\s*$")


class Threshold(Section):
    """A bound on a metric, written ``accuracy>=0.9``."""

    metric: str
    relation: Literal[">=", "<="]
    bound: float

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        match = THRESHOLD.match(value)
        try:
            return {"metric": match[1], "relation": match[2], "bound": float(match[3])}  # type: ignore[index]
        except (TypeError, ValueError):
            raise ValueError(f"a threshold reads like accuracy>=0.9, not {value!r}") from None

    def holds(self, value: float) -> bool:
        """Whether a value meets the bound; a value that is not a number never does."""
        return value >= self.bound if self.relation == ">=" else value <= self.bound

    def __str__(self) -> str:
        return f"{self.metric} {self.relation} {self.bound:g}"


class EvaluationSettings(Section):
    """How to judge a model, and what it takes to be accepted; a task's own Settings add to it.

    Attributes:
        require: bounds such as ``accuracy>=0.9`` that the model must meet on the whole test split.
        require_slices: such bounds for every slice of at least ``min_slice`` examples. The model is refused where a
            slice is shown to miss one: its interval, corrected for the number of slices, lies beyond the bound.
        margin: how much worse than the champion the challenger may be in the task's paired metric. 0 asks it to be
            better (superiority).
        slice_margin: the same for each slice of at least ``min_slice`` examples, where worse has to be shown, by an
            interval corrected for the number of slices.
        anchor: a version that the challenger must not be worse than either, by the same margin: ``best`` is the best
            one there ever was, so that many small losses do not add up; a version's id pins one; ``none`` turns it off.
        equal_weights: what happens if the challenger has the champion's very weights: ``keep`` keeps the champion and
            exports nothing; ``publish`` exports them again, such as to other formats.
        error_rate: the probability, at most, of accepting a challenger that is worse by exactly the margin.
        min_slice: smaller slices only warn.
        resamples: bootstrap resamples for the intervals of metrics that are no means over examples.
        batch_size: examples that are predicted at once.
        seed: of the resamples.
        baseline: a simple method to show beside the model in the same report, one that the task knows; empty for none.
            It is trained on the train split, which evaluate reads for it.
    """

    # The task's metrics, and which way is better.
    metrics: ClassVar[dict[str, Literal["max", "min"]]] = {}
    # Those of them that a slice has: means over examples.
    slice_metrics: ClassVar[tuple[str, ...]] = ()
    # Compared example by example between champion and challenger; higher is better.
    paired_metric: ClassVar[str] = ""
    # Between which the paired metric of every example lies: without it no number of examples shows anything.
    paired_range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    # Metrics between 0 and 1.
    shares: ClassVar[frozenset[str]] = frozenset()
    # Whether each example has one class, which may have a weight in training.
    class_weights: ClassVar[bool] = False
    # What ``baseline`` may name.
    baselines: ClassVar[tuple[str, ...]] = ()

    require: Annotated[tuple[Threshold, ...], FROM_ONE_LINE] = ()
    require_slices: Annotated[tuple[Threshold, ...], FROM_ONE_LINE] = ()
    margin: Annotated[float, Field(ge=0, lt=1)] = 0.01
    slice_margin: Annotated[float, Field(ge=0, lt=1)] = 0.05
    anchor: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")] = "best"
    equal_weights: Literal["keep", "publish"] = "keep"
    error_rate: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    min_slice: Positive = 100
    resamples: Annotated[int, Field(ge=100, le=1_000_000)] = 2000
    batch_size: Positive = 256
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    baseline: str = ""

    def smallest_margin(self, examples: int) -> float:
        """The smallest margin at which so many test examples can accept any challenger, rounded up to two digits.

        A loss by more than the margin may sit on a share ``margin / range`` of the examples, which none of ``examples``
        shows with probability (1 - share)^examples; that must be below the error rate.
        """
        low, high = self.paired_range
        margin = (high - low) * (1 - (0.98 * self.error_rate) ** (1 / max(1, examples)))
        digits = 1 - math.floor(math.log10(margin))
        return float(math.ceil(margin * 10**digits) / 10**digits)

    def smallest_test_split(self) -> int:
        """The fewest test examples that can accept any challenger at the margin, which is above 0."""
        low, high = self.paired_range
        return math.ceil(math.log(0.98 * self.error_rate) / math.log1p(-min(0.999, self.margin / (high - low))))

    def too_few(self, examples: int) -> str:
        """Why so many test examples can never accept a challenger, and what would help; empty if they can."""
        if not self.margin or examples >= self.smallest_test_split():
            return ""
        return (
            f"with {examples:,} test examples only margins from {self.smallest_margin(examples):g} can be shown, so no "
            f"challenger can replace a champion at evaluation.margin={self.margin:g}: give it "
            f"{self.smallest_test_split():,} test examples (data.split, data.limit), or a larger margin"
        )

    @field_validator("baseline")
    @classmethod
    def _known_baseline(cls, name: str) -> str:
        if name and name not in cls.baselines:
            known = nearest(name, cls.baselines) if cls.baselines else "this task has none"
            raise ValueError(f"unknown baseline {name!r}; {known}")
        return name

    @model_validator(mode="after")
    def _known_metrics(self) -> Self:
        for thresholds, known in ((self.require, tuple(self.metrics)), (self.require_slices, self.slice_metrics)):
            for threshold in thresholds:
                if problem := self._problem(threshold, known):
                    raise ValueError(problem)
        return self

    def _problem(self, threshold: Threshold, known: tuple[str, ...]) -> str:
        """What is wrong with a threshold, or an empty string."""
        metric = threshold.metric
        if metric not in known:
            where = "" if known == tuple(self.metrics) else " of a slice"
            return f"{threshold}: unknown metric{where} {metric!r}; {nearest(metric, known)}"
        better = ">=" if self.metrics[metric] == "max" else "<="
        if threshold.relation != better:
            direction = "higher" if better == ">=" else "lower"
            return f"{threshold}: {metric} is better when {direction}, write {metric}{better}{threshold.bound:g}"
        if metric in self.shares and not 0 <= threshold.bound <= 1:
            return f"{threshold}: {metric} lies between 0 and 1"
        return ""


def misfit(task: str, model: Any, augmentation: Sequence[str], class_weight: Any = "none") -> str:
    """Why a model's settings, an augmentation or weights of classes do not suit a task, or an empty string."""
    module = load("tasks", task)
    if model.interface != module.INTERFACE:
        return f"model: {model.name} is {model.interface}, the task {task} is {module.INTERFACE}"
    known = getattr(module, "AUGMENTATIONS", ())
    if unknown := sorted(set(augmentation) - set(known)):
        return f"training.augmentation: the task {task} knows {', '.join(known) or 'none'}, not {unknown[0]}"
    if class_weight != "none" and not module.Settings.class_weights:
        return f"training.class_weight: an example of the task {task} does not have one class; leave it none"
    return ""


def expected_arguments(task: str, model: Any, data: Any, facts: Any) -> dict[str, Any]:
    """The arguments of the model's ``build`` beside its settings, as JSON values, before anything is prepared.

    Raises:
        StepError: something is not known yet; ``--examples`` or ``--units`` gives it.
    """
    function = getattr(load("tasks", task), "expected_arguments", None)
    arguments: dict[str, Any] = function(model, data, facts) if function else {}
    return arguments
