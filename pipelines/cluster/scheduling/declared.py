"""Declared schedules, from ``schedules.toml`` or a command's options: what runs, on which hardware, and when."""

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.core.choices import nearest
from components.core.errors import StepError
from pipelines.cluster.scheduling import trigger

FILE = "schedules.toml"
EXAMPLE = 'write [nightly] with experiment, accelerator, target and cron = "0 3 * * *" or every = "6h"'
NAME = r"[a-z0-9]([-a-z0-9]{0,51}[a-z0-9])?"
# The start of the line of a schedule's description that holds its memo.
MARK = "suanli "


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

    Attributes:
        declared: what it was made from, so that it can be created again.
        server_timezone: the zone that the server read cron in.
        replaces: the ids of earlier schedules of this name that it replaces.
        then: its state once it has replaced them.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    declared: Declared
    server_timezone: str = "UTC"
    replaces: tuple[str, ...] = ()
    then: Literal["enabled", "paused"] = "enabled"

    @property
    def trigger(self) -> trigger.Trigger:
        """When it was to run."""
        return self.declared.trigger(self.server_timezone)

    def line(self) -> str:
        """The memo as a line of a description."""
        values = self.model_dump(mode="json", exclude_defaults=True)
        return MARK + json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def read_memo(description: str) -> Memo | None:
    """The memo in a schedule's description; None if it was not made by us."""
    for line in description.splitlines():
        if line.startswith(MARK):
            try:
                return Memo.model_validate_json(line.removeprefix(MARK))
            except ValidationError:
                return None
    return None


def load(folder: Path) -> dict[str, Declared]:
    """The schedules that a folder's ``schedules.toml`` declares, by name.

    Raises:
        StepError: the file does not exist, is not TOML, or has an invalid table, key, cron or interval.
    """
    path = folder / FILE
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StepError(f"there is no {FILE} here", advice=EXAMPLE, kind="settings") from None
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
