"""Declared schedules, from ``schedules.toml`` or a command's options: what runs, on which hardware, and when."""

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.core.choices import nearest
from components.core.errors import StepError
from pipelines.cluster.kubeflow.limits import LIMITS
from pipelines.cluster.kubeflow.records import keyed
from pipelines.cluster.scheduling import trigger

FILE = "schedules.toml"
EXAMPLE = 'write [nightly] with experiment, accelerator, target and cron = "0 3 * * *" or every = "6h"'
NAME = r"[a-z0-9]([-a-z0-9]{0,51}[a-z0-9])?"
# The start of the line of a schedule's description that holds its memo.
MARK = "suanli "
# Characters for words and memo in a schedule's description, beside its key; characters of an id that tell the schedules
# of one name apart.
ROOM = LIMITS["the description of a schedule"] - len(keyed("", "0" * 16)) - 2
ID = 8


class Declared(BaseModel):
    """A schedule as the user declares it.

    Attributes:
        experiment: a name, or the path of a .py file.
        accelerator: as for ``submit --accelerator``.
        target: an installation in targets.toml.
        cron: five fields; either this or ``every``.
        every: an interval, such as ``6h``.
        timezone: of the cron; empty for the server's.
        set: changed settings, each ``section.key=value``.
        spot: as for ``submit --spot``, and so are the next five.
        compute_class: a class that selects the nodes.
        queue: Kueue's local queue.
        retries: starts of train's pod after the first.
        shared_memory: train's /dev/shm.
        timeout: seconds after which train's pod is ended.
        paused: whether it starts no runs.
        overlap: how many of its runs may run at the same time.
        catch_up: whether missed times are made up for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    experiment: Annotated[str, Field(min_length=1)]
    accelerator: Annotated[str, Field(min_length=1)]
    target: Annotated[str, Field(min_length=1)]
    cron: str = ""
    every: str = ""
    timezone: str = ""
    set: list[str] = []
    spot: bool = False
    compute_class: str = ""
    queue: str = ""
    retries: Annotated[int, Field(ge=0, le=100)] | None = None
    shared_memory: str = ""
    timeout: Annotated[int, Field(ge=0)] = 0
    paused: bool = False
    overlap: Annotated[int, Field(ge=1, le=10)] = 1
    catch_up: bool = False

    def trigger(self, server_timezone: str) -> trigger.Trigger:
        """When it runs.

        Raises:
            StepError: neither or both of cron and every are given, or one is invalid.
        """
        return trigger.trigger(self.cron, self.every, self.timezone, server_timezone)


class Memo(BaseModel):
    """What a schedule's description stores for us: the server accepts no changes and has no other field for it.

    A description has 255 characters. What does not fit in there, ``declared``, is the description of a pipeline version
    of the schedule's own (``version_line``).

    Attributes:
        declared: what it was made from, so that it can be created again.
        server_timezone: the zone that the server read cron in.
        replaces: the beginnings of the ids of earlier schedules of this name that it replaces.
        then: its state once it has replaced them.
        own_account: whether a service account was given for its runs: the server fills in its own otherwise.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    declared: Declared
    server_timezone: str = "UTC"
    replaces: tuple[str, ...] = ()
    then: Literal["enabled", "paused"] = "enabled"
    own_account: bool = False

    @property
    def trigger(self) -> trigger.Trigger:
        """When it was to run."""
        return self.declared.trigger(self.server_timezone)

    @property
    def fits(self) -> bool:
        """Whether the whole memo fits into a schedule's description, also once it replaces two others."""
        later = self.model_copy(update={"replaces": ("x" * ID, "y" * ID), "then": "paused"})
        return len(later.line()) <= ROOM

    def describe(self, words: str, *, whole: bool) -> str:
        """A schedule's description: words for people, as far as there is room, and the memo.

        Args:
            whole: whether what the schedule was made from is in here, not in its pipeline version.

        Raises:
            StepError: there is no room for the memo.
        """
        line = self.line() if whole else self.line(exclude={"declared"})
        if len(line) > ROOM:
            raise StepError(
                f"the description of the schedule has no room for what it was made from ({len(line)} of {ROOM} "
                "characters)",
                advice="wait until the runs of the earlier ones have ended; suanli schedules update moves the rest",
                kind="settings",
            )
        return "\n".join(part for part in (words[: ROOM - len(line)], line) if part)

    def version_line(self) -> str:
        """What the schedule was made from, as the description of a pipeline version; whether it is paused aside."""
        return Memo(declared=self.declared.model_copy(update={"paused": False})).line()

    def line(self, exclude: set[str] | None = None) -> str:
        """The memo as a line of a description."""
        values = self.model_dump(mode="json", exclude_defaults=True, exclude=exclude)
        return MARK + json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def read_memo(description: str, of_version: Callable[[], str] = str) -> Memo | None:
    """The memo in a schedule's description; None if it was not made by us, or a part of it is gone.

    Args:
        of_version: returns the description of the schedule's pipeline version, which may have a part of the memo.
    """
    try:
        values = _marked(description)
        if values is not None and "declared" not in values:
            values |= {"declared": (_marked(of_version()) or {})["declared"]}
        return None if values is None else Memo.model_validate_json(json.dumps(values))
    except (ValueError, KeyError, TypeError):
        return None


def is_whole(description: str) -> bool:
    """Whether a schedule's description holds its whole memo."""
    return "declared" in (_marked(description) or {})


def _marked(description: str) -> dict[str, Any] | None:
    """The values in the marked line of a description; None without one."""
    line = next((line for line in description.splitlines() if line.startswith(MARK)), "")
    return dict(json.loads(line.removeprefix(MARK))) if line else None


def load(folder: Path) -> dict[str, Declared]:
    """The schedules that a folder's ``schedules.toml`` declares, by name.

    Raises:
        StepError: the file does not exist, is not TOML, or has an invalid table, key, cron or interval.
    """
    path = folder / FILE
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StepError(f"there is no {FILE} in {folder}", advice=EXAMPLE, kind="settings") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StepError(f"{path}: {error}", advice=EXAMPLE, kind="settings") from None
    return {name: _parse_table(path, name, table) for name, table in tables.items()}


def validate(where: str, values: Mapping[str, Any]) -> Declared:
    """A schedule from its values.

    Args:
        where: the start of an error message.
        values: field -> value.

    Raises:
        StepError: the first invalid value, or the nearest key for a misspelt one.
    """
    try:
        return Declared.model_validate(dict(values))
    except ValidationError as error:
        # A misspelt key is the cause of a missing one.
        first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
        key = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            raise StepError(
                f"{where} has an unknown key {key}", advice=nearest(key, Declared.model_fields), kind="settings"
            ) from None
        if first["type"] == "missing":
            raise StepError(f"{where} lacks {key}", advice=EXAMPLE, kind="settings") from None
        message = first["msg"].removeprefix("Input ")
        raise StepError(f"{where} {key}: {message}, not {first['input']!r}", kind="settings") from None


def check_name(text: str) -> str:
    """The name, if it is valid.

    Raises:
        StepError: Kubernetes would not accept it.
    """
    if not re.fullmatch(NAME, text):
        raise StepError(
            f"{text!r} is not a name for a schedule", advice="use a-z, 0-9 and -, 53 at most", kind="settings"
        )
    return text


def _parse_table(path: Path, title: str, table: Any) -> Declared:
    where = f"{path}: [{title}]"
    if not isinstance(table, dict):
        raise StepError(f"{path}: {title} is not a table", advice=EXAMPLE, kind="settings")
    declared = validate(where, table)
    try:
        check_name(title)
        # The server's time zone is not known yet.
        trigger.trigger(declared.cron, declared.every, declared.timezone, declared.timezone or "UTC")
    except StepError as error:
        raise StepError(f"{where} {error.message}", advice=error.advice, kind=error.kind) from None
    return declared
