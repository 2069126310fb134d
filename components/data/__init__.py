"""Data sources, one per file, and what they share."""

import hashlib
import math
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from components import storage
from components.core import folders, project
from components.core.choices import load
from components.core.config import Count, Fraction, Positive, Section
from components.core.errors import StepError
from components.core.streaming import When

# Kinds of file systems whose inodes' numbers or times may differ with each mount.
UNSTABLE = ("fuse", "nfs", "cifs", "smb", "9p", "virtiofs", "ceph")
# One example of a source: the fields that the task converts, such as ``image`` (a uint8 array, or the bytes of a file)
# and ``label``; ``name`` is its origin, for messages. One that the source cannot give has ``fault`` instead, what is
# wrong with it, and is quarantined. One that the source leaves out on purpose has ``left_out``, the reason in the
# plural ("rows without a text"); ``count`` such examples if it stands for several (``left_out`` below). Prepare reports
# how many examples there were, and what became of them: prepared, quarantined and left out add up.
Example = dict[str, Any]
Stream = Callable[[], Iterator[Example]]
SPLITS = ("train", "validation", "test")
# With more different labels, what names the classes is probably another column.
MAX_CLASSES = 1000
# The scheme of an address, also with one slash only: ``gs:/bucket`` is a slip and not a folder.
SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+:/")


@dataclass(frozen=True)
class Source:
    """An opened data source; examples are read only by its streams.

    Attributes:
        info: for the task, such as ``classes``; ``encoding`` is ``encoded`` if contents are decoded at each reading.
        splits: the source's own splits: ``train``, and ``validation`` and ``test`` if they are official. Each call of a
            stream gives the same examples in the same order.
        counts: number of examples of a split, if known without reading it: of all that its stream gives, the bad ones
            and those that it leaves out too.
        version: of the data.
        licence: of the data.
        text: the origin of the data, in a sentence.
        notes: remarks for the data report, each a sentence.
    """

    info: dict[str, Any]
    splits: dict[str, Stream]
    counts: dict[str, int] = field(default_factory=dict)
    version: str = ""
    licence: str = "not stated"
    text: str = ""
    notes: tuple[str, ...] = ()


def left_out(counts: Mapping[str, int]) -> Iterator[Example]:
    """What a stream gives first for examples that it leaves out: reason -> number of them."""
    for reason, count in sorted(counts.items()):
        yield {"left_out": reason, "count": count}


@dataclass(frozen=True)
class Facts:
    """Properties of a data source known without opening it, from its optional function ``facts(settings)``.

    Attributes:
        counts: examples of the source's own splits, including ``train``.
        classes: number of classes; 0 if examples have none.
        encoded: whether images are stored as JPEG or PNG files, which are decoded in each epoch.
    """

    counts: dict[str, int]
    classes: int = 0
    encoded: bool = False


class DataSettings(Section):
    """Settings of every data source; each source adds its own.

    Attributes:
        task: the task of the examples, one of components/tasks; each source has its own default.
        split: fractions of train, validation and test, which sum to 1. If the source has an official test split, only
            the ratio of the first two counts.
        limit: maximum number of examples of each of the source's splits; 0 for all.
        group: what examples must not be split over, such as the pictures of one patient: a column of the table, or a
            pattern (a regular expression with one group) in the file's path, such as ``(patient[0-9]+)``. A group is in
            one split, and evaluate knows that its examples are not independent.
        time: a column or pattern of a date (ISO 8601) or number: the newest examples are the test split, those before
            them the validation split, instead of a random assignment.
        quarantine: how many bad examples may be set aside and listed before the step fails.
        shard_megabytes: target size of one record file.
        stream: whether the steps read prepared data directly from Cloud Storage: ``never`` copies them, ``always``
            reads a few files at a time or a mounted bucket, ``auto`` does so if they exceed half of the free disk.
        version: the declared version of external data (a query, a folder that others write); a new one prepares them
            again. Empty for the source's own.
        max_age: how long prepared data may be reused, such as ``12h`` or ``7d``; empty for ever.
    """

    name: str
    task: str
    split: tuple[Fraction, Fraction, Fraction] = (0.8, 0.1, 0.1)
    limit: Count = 0
    group: Annotated[str, Field(max_length=200)] = ""
    time: Annotated[str, Field(max_length=200)] = ""
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

    @field_validator("group", "time")
    @classmethod
    def _pattern(cls, text: str) -> str:
        if "(" in text:
            try:
                groups = re.compile(text).groups
            except re.error as error:
                raise ValueError(f"{text!r} is not a regular expression: {error}") from None
            if groups != 1:
                raise ValueError(f"{text!r} has {groups} groups in parentheses, one was expected")
        return text

    @model_validator(mode="after")
    def _one_assignment(self) -> Self:
        if self.group and self.time:
            raise ValueError("data.group and data.time: examples are assigned by one of them")
        return self

    @field_validator("task")
    @classmethod
    def _known_task(cls, task: str) -> str:
        try:
            load("tasks", task)
        except StepError as error:
            raise ValueError(str(error)) from None
        return task

    def input_shape(self) -> tuple[int, ...]:
        """The shape of one input without the batch axis; empty if it does not follow from the settings."""
        return ()

    def locations(self) -> dict[str, str]:
        """Setting -> the file or folder that it names, a local path or ``gs://``; empty for data of a package."""
        return {}


def check(settings: DataSettings) -> None:
    """Refuse what can be told before the data are read: a missing file or folder on this machine, and what the source's
    optional function ``check(settings)`` refuses, such as a column that does not exist. Data with a declared version
    may have been prepared already and be gone: they are not looked at.

    Raises:
        StepError: the first fault.
    """
    if settings.version:
        return
    for setting, location in settings.locations().items():
        if fault := location_fault(location):
            raise StepError(f"data.{setting}: {fault}", advice=f"set data.{setting}", kind="settings")
    function = getattr(load("data", settings.name), "check", None)
    if function and not any(map(storage.is_remote, settings.locations().values())):
        function(settings)


def location_fault(location: str) -> str:
    """Why a file or folder cannot be read, as far as its name and this machine's disk tell; empty if it can."""
    if storage.is_remote(location):
        return storage.bucket_fault(location)
    if SCHEME.match(location):
        return f"{location} is neither a local path nor gs://BUCKET/NAME, which are what is read"
    path = project.path(location)
    return "" if path.exists() else f"no such file or folder: {path}"


def local_path(location: str, needed: Callable[[str], bool] = bool) -> Path:
    """A local path as it is; for ``gs://`` its mount, or a copy that lasts as long as this process.

    Args:
        needed: which names of a folder's files are copied.

    Raises:
        StepError: there is no such file or folder in Cloud Storage.
    """
    if not storage.is_remote(location):
        return project.path(location)
    if mount := storage.mounted(location):
        return Path(mount)
    copy = tempfile.TemporaryDirectory(prefix="data-")
    COPIES.append(copy)
    parent, _, name = location.rstrip("/").rpartition("/")
    try:
        # Cloud Storage's console marks folders by empty objects whose names end in a slash.
        if names := [
            each
            for each in storage.listing(location)
            if needed(each)
            and not each.endswith("/")
            and not any(map(folders.is_left_by_system, PurePosixPath(each).parts))
        ]:
            return storage.copy(location, Path(copy.name) / name, names=names)
        storage.copy(parent, Path(copy.name), names=[name])
    except FileNotFoundError:
        raise StepError(f"no such file or folder: {location}", kind="settings") from None
    return Path(copy.name) / name


# Referenced here, since a temporary folder is removed with its last reference.
COPIES: list["tempfile.TemporaryDirectory[str]"] = []


def freshness(settings: DataSettings) -> str:
    """A token for the state of external data: the declared version, or the source's optional function ``state``, which
    does not read them; empty for packaged data."""
    state = getattr(load("data", settings.name), "state", None)
    return settings.version or (state(settings) if state else "")


def attribute(example: Example, setting: str, spec: str) -> str:
    """The value of ``data.group`` or ``data.time`` for an example: a column's, or what the pattern finds in its name.

    Raises:
        StepError: it has none.
    """
    name = str(example.get("name", ""))
    if "(" in spec:
        match = re.search(spec, name)
        if match and match[1]:
            return match[1]
        raise StepError(f"data.{setting}: the pattern {spec} is not found in {name or 'an example without a name'!r}")
    value = example.get("columns", example).get(spec)
    if isinstance(value, str | int | float) and str(value).strip():
        return str(value).strip()
    raise StepError(
        f"data.{setting}: {name or 'an example'} has no {spec!r}",
        advice=f"name a column of the table, or write a pattern with parentheses: data.{setting}='(patient[0-9]+)'",
    )


def fractions(split: tuple[float, float, float], official: set[str]) -> dict[str, float]:
    """The shares of the source's train split in each split: the settings' fractions without official splits."""
    shares = {name: 0.0 if name in official - {"train"} else share for name, share in zip(SPLITS, split, strict=True)}
    return {name: share / sum(shares.values()) for name, share in shares.items()}


def expected_counts(settings: DataSettings, counts: Mapping[str, int], official: set[str]) -> dict[str, int]:
    """About how many examples each split will have, from the counts that are known and the source's own splits."""
    given = {name: min(count, settings.limit or count) for name, count in counts.items()}
    return {
        name: round(given.get("train", 0) * share) if share else given.get(name, 0)
        for name, share in fractions(settings.split, official).items()
    }


def expected_test_size(settings: DataSettings) -> int | None:
    """About how many examples the test split will have; None if that is not known before they are read."""
    function = getattr(load("data", settings.name), "facts", None)
    try:
        facts: Facts | None = function(settings) if function else None
    except (StepError, OSError):
        return None  # prepare says so
    if facts is None:
        return None
    return expected_counts(settings, facts.counts, set(facts.counts))["test"]


def downloads(name: str) -> bool:
    """Whether a source downloads its data: its file has ``DOWNLOADS = True``."""
    return bool(getattr(load("data", name), "DOWNLOADS", False))


def folder_state(folder: str) -> str:
    """A digest (16 hex digits) of the names, sizes and times of a local folder's files; empty if it is missing.

    As in git's index, the times are those of the content and of the inode, and the inode's number counts: a copy that
    keeps the times (rsync -t) is a change. File systems that make up inodes, of networks and FUSE, are spared that.
    """
    root = project.path(folder)
    if not root.is_dir():
        return ""
    total = hashlib.sha256()
    inodes = _has_inodes(root.stat().st_dev)
    for path, problem in folders.walk(root):
        status = path.lstat() if problem else path.stat()
        values = [status.st_size, status.st_mtime_ns, *((status.st_ctime_ns, status.st_ino) if inodes else ())]
        total.update(b"\0".join([os.fsencode(path.relative_to(root)), *(b"%d" % value for value in values), b"\n"]))
    return total.hexdigest()[:16]


def _has_inodes(device: int) -> bool:
    """Whether a file system keeps inodes with their times; so if its kind is unknown."""
    try:
        mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    except OSError:
        return True
    kinds = {fields[2]: fields[fields.index("-") + 1] for fields in mounts}
    return not kinds.get(f"{os.major(device)}:{os.minor(device)}", "").startswith(UNSTABLE)
