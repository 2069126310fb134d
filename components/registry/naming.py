"""``champion.json``: which version is served, and every one that was served before it.

One small file holds both, so that they cannot disagree: it is written whole, and only over the one that was read.
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
# It becomes part of a path and of a line on a terminal.
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
RUN = re.compile(r"[A-Za-z0-9_.-]{0,253}")
TIME = re.compile(r"[0-9T:.Z+-]{0,40}")

Id = Annotated[str, Field(pattern=rf"^{ID.pattern}$")]


class Entry(BaseModel):
    """A change of champion.

    Attributes:
        version: the champion from then on.
        replaced: the one before; empty for none.
        by: what changed it; ``hand`` where somebody edited the file.
        run: the run that published it, or its pod where the run's id is not known; may be empty.
        time: when, in UTC (ISO 8601); may be empty.
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
    """What ``champion.json`` says.

    Attributes:
        history: every change of champion, the newest last; empty where nothing has been published.
        generation: the file's generation in Cloud Storage; 0 on a local path and for no file.
    """

    history: tuple[Entry, ...] = ()
    generation: int = 0

    @property
    def version(self) -> str:
        """The champion's id; empty for none."""
        return self.history[-1].version if self.history else ""

    @property
    def met(self) -> str:
        """The champion's id that this run is judged against: the present one, unless this very run published it.

        A run that was killed between publishing and noting so is resumed. It must not be judged against itself.
        """
        ours = _run()
        for entry in reversed(self.history):
            if not ours or (entry.run, entry.by) != (ours, "publish"):
                return entry.version
        return self.history[0].replaced if self.history else ""


def state(registry: str, **_: object) -> str:
    """The champion's id that this run is judged against, "" for none: what the result of a step that reads the
    registry depends on."""
    return read(registry).met


def read(registry: str) -> ChampionPointer:
    """Read ``champion.json``.

    Raises:
        StepError: it cannot be understood.
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
            advice=f"let it name a folder below {storage.join(registry, 'versions')}, or remove it to start anew",
        ) from None
    history = file.history
    if not history or history[-1].version != file.version:
        before = history[-1].version if history else file.replaced
        history += (Entry(version=file.version, replaced=before, by="hand"),)
    return ChampionPointer(history, generation)


def change(registry: str, before: ChampionPointer, version: str, by: Literal["publish", "rollback"]) -> None:
    """Let ``champion.json`` name another version, if it still says what was read.

    Raises:
        StepError: kind ``conflict``: it was changed meanwhile.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    entry = Entry(version=version, replaced=before.version, by=by, run=_run(), time=now)
    file = _File(version=version, replaced=before.version, history=(*before.history, entry))
    try:
        uri = storage.join(registry, CHAMPION)
        storage.write_text(uri, file.model_dump_json(indent=1) + "\n", generation=before.generation)
    except StepError:
        # The answer to our own write may have been lost on the way; the client's second try then finds it done.
        if read(registry).history[-1:] != (entry,):
            raise


def line(history: Sequence[Entry]) -> list[str]:
    """The versions that a rollback goes back along, the present champion last: what was rolled back is not on it."""
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
def exclusively(registry: str) -> Iterator[None]:
    """Keep other writers on this machine out; in Cloud Storage the generation does that."""
    if storage.is_remote(registry):
        yield
        return
    Path(registry).mkdir(parents=True, exist_ok=True)
    with (Path(registry) / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for half in Path(registry).glob(f".{CHAMPION}.*"):
            half.unlink()  # of a writer that was killed: nobody else writes here now
        yield
