"""Data sources, one a file: what can be prepared, and the settings they share."""

import hashlib
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator

from components.core.choices import load
from components.core.config import Count, Fraction, Positive, Section
from components.core.errors import StepError
from components.core.streaming import When

# One example as a source gives it: what the task's ``stored`` takes, such as ``image`` (a uint8 array, or the bytes of
# a file) and ``label``; ``name`` says where it came from, for messages.
Example = dict[str, Any]
Stream = Callable[[], Iterator[Example]]


@dataclass(frozen=True)
class Source:
    """A data source, opened: nothing of it is read before one of its streams is.

    Attributes:
        info: what the task needs to know, such as ``classes``; ``encoding`` is ``encoded`` where contents are decoded
            whenever they are read.
        splits: the source's own splits, ``train`` always, ``validation`` and ``test`` where they are official. Each
            stream gives the same examples in the same order whenever it is called.
        counts: how many examples a split gives, where that is known before it is read.
        version: the version of the data.
        licence: the licence they are under.
        text: where they come from, in a sentence.
    """

    info: dict[str, Any]
    splits: dict[str, Stream]
    counts: dict[str, int] = field(default_factory=dict)
    version: str = ""
    licence: str = "not stated"
    text: str = ""


@dataclass(frozen=True)
class Facts:
    """What is known of a data source before it is opened; its file may tell it by a function ``facts(settings)``.

    Attributes:
        counts: examples of the source's own splits, ``train`` always.
        classes: how many; 0 where examples have none.
        encoded: whether pictures are stored as JPEG or PNG files, to be decoded in each epoch.
    """

    counts: dict[str, int]
    classes: int = 0
    encoded: bool = False


class DataSettings(Section):
    """What every data source can be asked for; a source's own Settings add to it.

    Attributes:
        task: what the examples are for, one of components/tasks; each source has its own default.
        split: fractions of train, validation and test, which sum to 1. Where the source has an official test split,
            only the ratio of the first two counts.
        limit: at most so many examples of each of the source's splits; 0 takes all.
        quarantine: how many bad examples may be set aside and listed before the step fails.
        shard_megabytes: the size aimed at for one record file.
        stream: whether the steps read prepared data in Cloud Storage from there: ``never`` copies them, ``always``
            reads a few files at a time, or a mounted bucket, ``auto`` does where they take over half of the free disk.
        version: the declared version of data that lie outside (a query, a folder that others write); a new one
            prepares anew. Empty: the source's own.
        max_age: how long prepared data may be used again, such as ``12h`` or ``7d``; empty means for ever.
    """

    name: str
    task: str
    split: tuple[Fraction, Fraction, Fraction] = (0.8, 0.1, 0.1)
    limit: Count = 0
    quarantine: Count = 0
    shard_megabytes: Positive = 100
    stream: When = "auto"
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


def freshness(settings: DataSettings) -> str:
    """What stands for the state of data that lie outside: the declared version, else what the source's file can tell
    without reading them (its function ``state``); empty for packaged data."""
    state = getattr(load("data", settings.name), "state", None)
    return settings.version or (state(settings) if state else "")


def downloads(name: str) -> bool:
    """Whether a source fetches its data over the network: its file says so by ``DOWNLOADS = True``."""
    return bool(getattr(load("data", name), "DOWNLOADS", False))


def folder_state(folder: str) -> str:
    """A digest (16 hexadecimal digits) over the names, sizes and times of a local folder's files; empty without one."""
    root = Path(folder).expanduser()
    total = hashlib.sha256()
    for place, folders, files in os.walk(root):
        folders.sort()
        for name in sorted(files):
            path = Path(place) / name
            status = path.stat()
            total.update(f"{path.relative_to(root)}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return total.hexdigest()[:16] if root.is_dir() else ""
