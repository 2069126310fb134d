"""The changes of champion, each in a file of its own as well: ``history/000001-publish-<version>.json``.

They are written after ``champion.json``, which has them all, and read only if that file is lost or damaged. The name
alone tells the number, cause and version, so that even an emptied file counts.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components import storage

HISTORY, VERSIONS = "history", "versions"
# An id is part of paths and of lines on a terminal.
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
RUN = re.compile(r"[A-Za-z0-9_.-]{0,253}")
TIME = re.compile(r"[0-9T:.Z+-]{0,40}")

Id = Annotated[str, Field(pattern=rf"^{ID.pattern}$")]
By = Literal["publish", "rollback", "hand"]
FILE = re.compile(rf"(\d{{6,}})-({'|'.join(get_args(By))})-({ID.pattern})\.json")


class Entry(BaseModel):
    """A change of champion.

    Attributes:
        version: the new champion.
        replaced: the previous one, if any.
        by: the cause; ``hand`` if somebody edited the file.
        run: that published it, or its pod if the run's id is unknown; may be empty.
        time: of the change, in UTC (ISO 8601); may be empty.
        manifest: the digest of the version's manifest at that time; empty if unknown.
        difference: how much better it was than the replaced one, in the task's paired metric on the test examples that
            decided; None if it was not compared.
    """

    model_config = ConfigDict(frozen=True, strict=True)

    version: Id
    replaced: Id | Literal[""] = ""
    by: By = "publish"
    run: Annotated[str, Field(pattern=rf"^{RUN.pattern}$")] = ""
    time: Annotated[str, Field(pattern=rf"^{TIME.pattern}$")] = ""
    manifest: Annotated[str, Field(pattern="^[0-9a-f]{0,64}$")] = ""
    difference: Annotated[float, Field(allow_inf_nan=False)] | None = None


def record(registry: str, entries: Sequence[Entry]) -> None:
    """Write the files of those changes that have none yet."""
    listed = {name[:6] for name in storage.listing(storage.join(registry, HISTORY))}
    for number, entry in enumerate(entries, 1):
        if f"{number:06}" not in listed:
            name = f"{number:06}-{entry.by}-{entry.version}.json"
            storage.write_text(storage.join(registry, HISTORY, name), entry.model_dump_json(indent=1) + "\n")


def rebuilt(registry: str) -> tuple[Entry, ...]:
    """All changes, by their files; without such files, the only complete version. Empty if neither can be told."""
    names = storage.listing(storage.join(registry, HISTORY))
    matches = sorted(filter(None, map(FILE.fullmatch, names)), key=lambda match: int(match[1]))
    entries: list[Entry] = []
    for match in matches:
        before = entries[-1].version if entries else ""
        entry = Entry.model_validate({"version": match[3], "by": match[2], "replaced": before})
        with suppress(ValidationError, OSError):
            written = Entry.model_validate_json(storage.read_text(storage.join(registry, HISTORY, match[0])))
            entry = written if (written.version, written.by) == (entry.version, entry.by) else entry
        entries.append(entry)
    if not entries:
        ids = {name.partition("/")[0] for name in storage.listing(storage.join(registry, VERSIONS))}
        complete = [id_ for id_ in ids if storage.is_complete(storage.join(registry, VERSIONS, id_))]
        entries = [Entry(version=complete[0])] if len(complete) == 1 and ID.fullmatch(complete[0]) else []
    return tuple(entries)


@dataclass(frozen=True)
class Succession:
    """What the changes amount to.

    Attributes:
        lineage: the versions to which rollbacks return, the present champion last, without those that were rolled back
            from.
        withdrawn: version that was rolled back from -> the rollback.
        restored: version that was put back since -> the rollback from it, and the one to it.
    """

    lineage: list[str] = field(default_factory=list)
    withdrawn: dict[str, Entry] = field(default_factory=dict)
    restored: dict[str, tuple[Entry, Entry]] = field(default_factory=dict)


def succession(entries: Sequence[Entry]) -> Succession:
    """What changes of champion, the oldest first, amount to."""
    result = Succession()
    for entry in entries:
        if rollback := result.withdrawn.pop(entry.version, None):
            result.restored[entry.version] = rollback, entry
        if entry.by == "rollback" and entry.version in result.lineage:
            while result.lineage[-1] != entry.version:
                result.withdrawn[result.lineage.pop()] = entry
        elif result.lineage[-1:] != [entry.version]:
            result.lineage.append(entry.version)
    return result


def gains(entries: Sequence[Entry]) -> dict[str, float]:
    """Version -> how much better it is than the first one: the sum of the differences measured when each replaced the
    one before. One that was not compared counts as equal to the best."""
    result: dict[str, float] = {}
    for entry in entries:
        if entry.by != "publish" and entry.version in result:
            continue  # going back measures nothing
        top = max(result.values(), default=0.0)
        known = entry.difference is not None and entry.replaced in result
        result[entry.version] = result[entry.replaced] + (entry.difference or 0.0) if known else top
    return result


def best(entries: Sequence[Entry]) -> str:
    """The version with the largest gain of those that were not rolled back, the latest among equals; empty if none."""
    gain = gains(entries)
    return max(reversed(succession(entries).lineage), key=gain.__getitem__, default="")
