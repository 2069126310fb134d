"""``champion.json``, the champion pointer: the version that is served, and the history of all that were.

One small file has both, so that they always agree: it is written atomically, and replaces only the one that was read.
"""

import fcntl
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from components import storage
from components.core.errors import StepError
from components.core.files import open_lock
from components.registry import history as changes
from components.registry.history import RUN, Entry, Id

CHAMPION = "champion.json"


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
        fault: why the file could not be read, if so; the history is then rebuilt from the files of its changes.
    """

    history: tuple[Entry, ...] = ()
    generation: int = 0
    fault: str = ""

    @property
    def version(self) -> str:
        """The champion's id, if any."""
        return self.history[-1].version if self.history else ""

    def manifest(self, version: str) -> str:
        """The digest of a version's manifest when it became the champion last; empty if unknown."""
        return next((entry.manifest for entry in reversed(self.history) if entry.version == version), "")

    @property
    def incumbent(self) -> str:
        """The id of the champion that this run is compared with, if any: the present one, unless this run published it.

        A run that is killed after publishing, before it records so, is resumed and must not be compared with itself.
        """
        if not self.history:
            return ""
        return self.before[-1].version if self.before else self.history[0].replaced

    @property
    def before(self) -> tuple[Entry, ...]:
        """The history without what this run published last."""
        run, count = _run(), len(self.history)
        while run and count and (self.history[count - 1].run, self.history[count - 1].by) == (run, "publish"):
            count -= 1
        return self.history[:count]


def state(registry: str, **_: object) -> str:
    """The versions that this run is compared with, the champion and the anchor, on which results of steps that read the
    registry depend."""
    champion = read(registry)
    return " ".join(dict.fromkeys(filter(None, (champion.incumbent, changes.best(champion.before)))))


def read(registry: str) -> ChampionPointer:
    """Read ``champion.json``, or rebuild its history if it is lost or damaged.

    Raises:
        StepError: it is damaged, and its history cannot be rebuilt.
    """
    champion = load(registry)
    if champion.fault and not champion.history:
        raise StepError(
            f'{champion.fault}: expected {{"version": "<id>"}}',
            advice=f"name the champion, a folder in {storage.join(registry, changes.VERSIONS)}: "
            f"suanli registry rollback {shlex.quote(registry)} --to ID",
        )
    return champion


def load(registry: str) -> ChampionPointer:
    """What ``read`` returns, with an empty history instead of an error."""
    uri = storage.join(registry, CHAMPION)
    generation = 0
    try:
        text, generation = storage.read_versioned(uri)
        file = _File.model_validate_json(text)
    except FileNotFoundError:
        lost = storage.listing(storage.join(registry, changes.HISTORY))
        return ChampionPointer(changes.rebuilt(registry), fault=f"{uri} is missing") if lost else ChampionPointer()
    except (ValidationError, UnicodeDecodeError, IsADirectoryError):
        return ChampionPointer(changes.rebuilt(registry), generation, f"{uri} is corrupt")
    history = file.history
    if not history or history[-1].version != file.version:
        before = history[-1].version if history else file.replaced
        history += (Entry(version=file.version, replaced=before, by="hand"),)
    return ChampionPointer(history, generation)


def change(
    registry: str,
    before: ChampionPointer,
    version: str,
    by: Literal["publish", "rollback"],
    manifest: str,
    difference: float | None = None,
) -> None:
    """Point ``champion.json`` to another version, if it has not changed since it was read.

    Args:
        manifest: the digest of the version's manifest.
        difference: how much better it is than the present champion, if they were compared.

    Raises:
        StepError: kind ``conflict``: it has changed.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    entry = Entry(
        version=version,
        replaced=before.version,
        by=by,
        run=_run(),
        time=now,
        manifest=manifest,
        difference=difference,
    )
    write(registry, before, (*before.history, entry))


def write(registry: str, before: ChampionPointer, history: tuple[Entry, ...]) -> None:
    """Write ``champion.json``, if it has not changed since it was read, and the files of its changes.

    Raises:
        StepError: kind ``conflict``: it has changed.
    """
    file = _File(version=history[-1].version, replaced=history[-1].replaced, history=history)
    try:
        uri = storage.join(registry, CHAMPION)
        storage.write_text(uri, file.model_dump_json(indent=1) + "\n", generation=before.generation)
    except StepError:
        # The response to our own write may have been lost; the client's retry then finds it done.
        if read(registry).history[-1:] != history[-1:]:
            raise
    # The champion has changed, whatever becomes of this copy: the next change writes what is missing.
    with suppress(OSError, StepError):
        changes.record(registry, history)


def _run() -> str:
    names = (Path(os.environ.get("SUANLI_RUN", "")).name, *map(os.environ.get, ("SUANLI_KUBEFLOW_RUN", "KFP_POD_NAME")))
    name = next(filter(None, names), "")
    return name if RUN.fullmatch(name) else ""


@contextmanager
def locked(registry: str) -> Iterator[None]:
    """Exclude other writers on this machine; in Cloud Storage the generation does that."""
    if storage.is_remote(registry):
        yield
        return
    Path(registry).mkdir(parents=True, exist_ok=True)
    with open_lock(Path(registry) / ".lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for partial in Path(registry).glob(f".{CHAMPION}.*"):
            partial.unlink()  # of a writer that was killed: we hold the lock
        yield
