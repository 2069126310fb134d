"""Data sources, one a file: what can be prepared, and the settings they share."""

import math
from typing import Annotated

from pydantic import Field, field_validator

from components.core.config import Count, Fraction, Positive, Section
from components.core.errors import StepError
from components.core.rooms import load


class DataSettings(Section):
    """What every data source can be asked for; a source's own Settings add to it.

    Attributes:
        split: fractions of train, validation and test, which sum to 1. Where the source has an official test split,
            only the ratio of the first two counts.
        limit: at most so many examples of each of the source's splits; 0 takes all.
        quarantine: how many bad examples may be set aside and listed before the step fails.
        shard_megabytes: the size aimed at for one record file.
        version: the declared version of data that lie outside (a query, a folder that others write); a new one
            prepares anew. Empty: the source's own.
        max_age: how long prepared data may be used again, such as ``12h`` or ``7d``; empty means for ever.
    """

    name: str
    task: str = "image_classification"
    split: tuple[Fraction, Fraction, Fraction] = (0.8, 0.1, 0.1)
    limit: Count = 0
    quarantine: Count = 0
    shard_megabytes: Positive = 100
    version: str = ""
    max_age: Annotated[str, Field(pattern=r"^([1-9][0-9]*[mhdw])?$")] = ""

    @field_validator("split")
    @classmethod
    def _whole(cls, split: tuple[float, float, float]) -> tuple[float, float, float]:
        if not math.isclose(sum(split), 1, abs_tol=1e-6):
            raise ValueError(f"the fractions of train, validation and test must sum to 1, not {sum(split):g}")
        if not split[0]:
            raise ValueError("train's fraction must be above 0")
        return split

    @field_validator("task")
    @classmethod
    def _known_task(cls, task: str) -> str:
        try:
            load("tasks", task)
        except StepError as error:
            raise ValueError(str(error)) from None
        return task

    def input_shape(self) -> tuple[int, ...]:
        """The shape of one input without the batch axis where the settings alone tell it, else empty."""
        return ()
