"""Tasks, one a file: features, loss, metrics, post-processing and the figures of a report."""

import re
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from components.core.config import Positive, Section

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
        if not match:
            raise ValueError(f"a threshold reads like accuracy>=0.9, not {value!r}")
        return {"metric": match[1], "relation": match[2], "bound": float(match[3])}

    def holds(self, value: float) -> bool:
        """Whether a value meets the bound; a value that is not a number never does."""
        return value >= self.bound if self.relation == ">=" else value <= self.bound

    def __str__(self) -> str:
        return f"{self.metric} {self.relation} {self.bound:g}"


class EvaluationSettings(Section):
    """How to judge a model, and what it takes to be accepted; a task's own Settings add to it.

    Attributes:
        require: bounds that the model must meet on the whole test split.
        require_slices: bounds that it must meet on every slice of at least ``min_slice`` examples.
        margin: how much worse than the champion the challenger may be in the task's paired metric. 0 asks it to be
            better (superiority).
        slice_margin: the same for each slice.
        error_rate: the probability, at most, of accepting a challenger that is worse by exactly the margin.
        min_slice: smaller slices only warn.
        resamples: bootstrap resamples for intervals and for the paired test.
    """

    require: tuple[Threshold, ...] = ()
    require_slices: tuple[Threshold, ...] = ()
    margin: Annotated[float, Field(ge=0)] = 0.01
    slice_margin: Annotated[float, Field(ge=0)] = 0.05
    error_rate: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    min_slice: Positive = 100
    resamples: Annotated[int, Field(ge=100)] = 2000
    batch_size: Positive = 256
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
