"""The registry of one model: ``versions/<id>/`` and ``champion.json``, on a local path or gs://.

A version is written whole before ``champion.json`` names it, and naming it is a compare-and-swap on the champion that
the challenger was compared with: by an exclusive lock locally, by the object's generation in Cloud Storage.
"""

import fcntl
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.core import storage
from components.core.errors import StepError

CHAMPION = "champion.json"
VERSION = "version.json"


@dataclass(frozen=True)
class Champion:
    """The published version that challengers are compared with.

    Attributes:
        id: the version's id.
        folder: its files, local: ``model.keras``, ``version.json``, the formats and the card.
    """

    id: str
    folder: Path

    def version(self) -> dict[str, Any]:
        """What ``version.json`` says."""
        values: dict[str, Any] = json.loads((self.folder / VERSION).read_text())
        return values


def version_uri(registry: str, version: str) -> str:
    """Where a version's files lie."""
    return storage.join(registry, "versions", version)


def state(registry: str, **_: object) -> str:
    """The champion's id, "" for none: what a step's result depends on when it reads the registry."""
    return _named(registry)[0]


def _named(registry: str) -> tuple[str, int]:
    """The champion's id and the generation of the file that names it.

    Raises:
        StepError: the file cannot be understood.
    """
    uri = storage.join(registry, CHAMPION)
    try:
        text, generation = storage.read_versioned(uri)
    except FileNotFoundError:
        return "", 0
    try:
        version = json.loads(text)["version"]
        # It becomes part of a path.
        if isinstance(version, str) and version and "/" not in version and not version.startswith("."):
            return version, generation
    except (ValueError, KeyError, TypeError):
        pass
    raise StepError(
        f'{uri} is corrupt: expected {{"version": "<id>"}}',
        advice=f"let it name a folder below {storage.join(registry, 'versions')}, or remove it to start anew",
    )


def champion(registry: str) -> Champion | None:
    """The present champion with its files, or None where nothing has been published.

    Raises:
        StepError: ``champion.json`` is corrupt, or names a version that is not whole.
    """
    version, _ = _named(registry)
    if not version:
        return None
    uri = version_uri(registry, version)
    names = set(storage.listing(uri))
    if missing := {VERSION, "model.keras"} - names:
        raise StepError(
            f"the champion {version} lacks {', '.join(sorted(missing))} in {uri}",
            advice=f"restore it, or let {CHAMPION} name another version",
        )
    if not storage.is_remote(uri):
        return Champion(version, Path(uri))
    return Champion(version, storage.download(uri, Path(tempfile.mkdtemp(prefix="champion-")) / version))


def publish(registry: str, folder: Path, version: str, expected: str) -> None:
    """Publish a version and make it the champion, if the champion is still the expected one (or is it already).

    Args:
        registry: the model's registry.
        folder: the version's files.
        version: its id, made of its content: a version that is there already is taken as it is.
        expected: the champion's id that the decision was made against; "" for none.

    Raises:
        StepError: kind ``conflict``: another champion was published meanwhile; nothing is changed.
    """
    uri = version_uri(registry, version)
    with _exclusively(registry):
        if state(registry) == version:
            return  # published by a run that was interrupted after it, or by an equal one
        _check(registry, expected)
        ours = not storage.exists(storage.join(uri, VERSION))
        if ours:
            if not storage.is_remote(uri):
                storage.remove(uri)
            storage.upload(folder, uri)
        try:
            generation = _check(registry, expected)
            text = json.dumps({"version": version, "replaced": expected}, indent=1)
            storage.write_text(storage.join(registry, CHAMPION), text + "\n", generation=generation)
        except StepError:
            if state(registry) == version:
                return  # an equal run was faster, or the answer to our own write was lost on the way
            if ours:
                storage.remove(uri)
            _check(registry, expected)  # says who came first
            raise


def _check(registry: str, expected: str) -> int:
    """The generation of ``champion.json`` while it names the expected champion."""
    present, generation = _named(registry)
    if present != expected:
        raise StepError(
            f"the champion changed from {expected or 'none'} to {present or 'none'} since this model was evaluated",
            advice="evaluate again: run the experiment once more, or resume this run",
            kind="conflict",
        )
    return generation


@contextmanager
def _exclusively(registry: str) -> Iterator[None]:
    """Keep other publishers on this machine out; in Cloud Storage the generation does that."""
    if storage.is_remote(registry):
        yield
        return
    Path(registry).mkdir(parents=True, exist_ok=True)
    with (Path(registry) / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
