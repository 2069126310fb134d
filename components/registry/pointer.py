"""``champion.json``, the champion pointer: the version that is served, and the history of all that were.

One small file has both, so that they always agree: it is written atomically, and replaces only the one that was read.
"""

import fcntl
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components import storage
from components.core.errors import StepError

CHAMPION = "champion.json"
# An id is part of paths and of lines on a terminal.
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
RUN = re.compile(r"[A-Za-z0-9_.-]{0,253}")
TIME = re.compile(r"[0-9T:.Z+-]{0,40}")

Id = Annotated[str, Field(pattern=rf"^{ID.pattern}$")]


class Entry(BaseModel):
    """A change of champion.

    Attributes:
        version: the new champion.
        replaced: the previous one, if any.
        by: the cause; ``hand`` if somebody edited the file.
        run: that published it, or its pod if the run's id is unknown; may be empty.
        time: of the change, in UTC (ISO 8601); may be empty.
    """

    model_config = ConfigDict(frozen=True, strict=True)

    version: Id
    replaced: Id | Literal[""] = ""
    by: Literal["publish", "rollback", "hand"] = "publish"
    run: Annotated[str, Field(pattern=rf"^{RUN.pattern}$")] = ""
    time: Annotated[str, Field(pattern=rf"^{TIME.pattern}$")] = ""


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)

    version: Id
    replaced: Id | Literal[""] = ""
    history: tuple[Entry, ...] = ()


@dataclass(frozen=True)
class ChampionPointer:
    """The content of ``champion.json``.

    Attributes:
        history: all changes of champion, newest last; empty if nothing has been published.
        generation: of the file in Cloud Storage; 0 on a local path or without a file.
    """

    history: tuple[Entry, ...] = ()
    generation: int = 0

    @property
    def version(self) -> str:
        """The champion's id, if any."""
        return self.history[-1].version if self.history else ""

    @property
    def incumbent(self) -> str:
        """The id of the champion that this run is compared with, if any: the present one, unless this run published it.

        A run that is killed after publishing, before it records so, is resumed and must not be compared with itself.
        """
        run = _run()
        for entry in reversed(self.history):
            if not run or (entry.run, entry.by) != (run, "publish"):
                return entry.version
        return self.history[0].replaced if self.history else ""


def state(registry: str, **_: object) -> str:
    """The id of the champion that this run is compared with, if any, on which results of steps that read the registry
    depend."""
    return read(registry).incumbent


def read(registry: str) -> ChampionPointer:
    """Read ``champion.json``.

    Raises:
        StepError: it is corrupt.
    """
    uri = storage.join(registry, CHAMPION)
    try:
        text, generation = storage.read_versioned(uri)
        file = _File.model_validate_json(text)
    except FileNotFoundError:
        return ChampionPointer()
    except (ValidationError, UnicodeDecodeError, IsADirectoryError):
        raise StepError(
            f'{uri} is corrupt: expected {{"version": "<id>"}}',
            advice=f"set it to a folder in {storage.join(registry, 'versions')}, or remove it to start again",
        ) from None
    history = file.history
    if not history or history[-1].version != file.version:
        before = history[-1].version if history else file.replaced
        history += (Entry(version=file.version, replaced=before, by="hand"),)
    return ChampionPointer(history, generation)


def change(registry: str, before: ChampionPointer, version: str, by: Literal["publish", "rollback"]) -> None:
    """Point ``champion.json`` to another version, if it has not changed since it was read.

    Raises:
        StepError: kind ``conflict``: it has changed.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    entry = Entry(version=version, replaced=before.version, by=by, run=_run(), time=now)
    file = _File(version=version, replaced=before.version, history=(*before.history, entry))
    try:
        uri = storage.join(registry, CHAMPION)
        storage.write_text(uri, file.model_dump_json(indent=1) + "\n", generation=before.generation)
    except StepError:
        # The response to our own write may have been lost; the client's retry then finds it done.
        if read(registry).history[-1:] != (entry,):
            raise


def lineage(history: Sequence[Entry]) -> list[str]:
    """The versions to which rollbacks return, the present champion last, without those that were rolled back."""
    versions: list[str] = []
    for entry in history:
        if entry.by == "rollback" and entry.version in versions:
            while versions[-1] != entry.version:
                versions.pop()
        else:
            versions.append(entry.version)
    return versions


def _run() -> str:
    name = Path(os.environ.get("SUANLI_RUN", "")).name or os.environ.get("KFP_POD_NAME", "")
    return name if RUN.fullmatch(name) else ""


@contextmanager
def locked(registry: str) -> Iterator[None]:
    """Exclude other writers on this machine; in Cloud Storage the generation does that."""
    if storage.is_remote(registry):
        yield
        return
    Path(registry).mkdir(parents=True, exist_ok=True)
    with (Path(registry) / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for partial in Path(registry).glob(f".{CHAMPION}.*"):
            partial.unlink()  # of a writer that was killed: we hold the lock
        yield
