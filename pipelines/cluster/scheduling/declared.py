"""Schedules as they are declared, in ``schedules.toml`` or by a command's options: what runs, on what, and when."""

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
# The line of a schedule's description that tells us what it was made from.
MARK = "suanli "


class Declared(BaseModel):
    """A schedule as somebody wants it.

    Attributes:
        experiment: a name, or the path of a .py file.
        accelerator: as for ``submit --accelerator``.
        target: an installation in targets.toml.
        cron: five fields; either this or ``every``.
        every: an interval, such as ``6h``.
        timezone: of the cron's clock; empty for the server's.
        set: changed settings, ``section.key=value`` each.
        spot: as for ``submit --spot``, and so are the next five.
        compute_class: a class that picks the nodes.
        queue: Kueue's local queue.
        retries: starts of train's pod after the first.
        shared_memory: train's /dev/shm.
        timeout: seconds after which train's pod is ended.
        paused: whether it starts no runs.
        overlap: how many of its runs may be under way.
        catch_up: whether times that were missed are made up for.
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
            StepError: neither or both of cron and every are given, or one is wrong.
        """
        return trigger.trigger(self.cron, self.every, self.timezone, server_timezone)


class Memo(BaseModel):
    """What a schedule's description keeps for us: the server takes no changes and has no place for more.

    Attributes:
        declared: what it was made from, so that it can be made again.
        server_timezone: the zone that the server read cron in.
        replaces: the ids of earlier schedules of this name whose place it takes.
        then: what it is to be once it has taken it.
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
        kept = self.model_dump(mode="json", exclude_defaults=True)
        return MARK + json.dumps(kept, ensure_ascii=False, separators=(",", ":"))


def memo(description: str) -> Memo | None:
    """The memo in a schedule's description; None where nobody of us wrote one."""
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
        StepError: there is no such file, it is no TOML, or a table, key, cron or interval in it is wrong.
    """
    path = folder / FILE
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StepError(f"there is no {FILE} here", advice=EXAMPLE, kind="settings") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StepError(f"{path}: {error}", advice=EXAMPLE, kind="settings") from None
    return {name: _table(path, name, table) for name, table in tables.items()}


def checked(where: str, values: Mapping[str, Any]) -> Declared:
    """A schedule from its values.

    Args:
        where: the beginning of an error's text.
        values: field -> value.

    Raises:
        StepError: the first thing wrong with them, with the nearest key for a misspelt one.
    """
    try:
        made = Declared.model_validate(dict(values))
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
    return made


def name(text: str) -> str:
    """A schedule's name, if it is one.

    Raises:
        StepError: it is none that Kubernetes would take.
    """
    if not re.fullmatch(NAME, text):
        raise StepError(
            f"{text!r} is no name for a schedule",
            advice="use a-z, 0-9 and -, 53 at most",
            kind="settings",
        )
    return text


def _table(path: Path, title: str, table: Any) -> Declared:
    where = f"{path}: [{title}]"
    if not isinstance(table, dict):
        raise StepError(f"{path}: {title} is no table", advice=EXAMPLE, kind="settings")
    made = checked(where, table)
    try:
        name(title)
        # Whether the server's clock can keep it is told where the server is known.
        trigger.trigger(made.cron, made.every, made.timezone, made.timezone or "UTC")
    except StepError as error:
        raise StepError(f"{where} {error.message}", advice=error.advice, kind=error.kind) from None
    return made
