"""The versions' folders, which never change once they are whole."""

import filecmp
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components import storage
from components.core.errors import StepError
from components.registry import naming

VERSION, MODEL = "version.json", "model.keras"
# How often a publisher looks again when an equal run is writing the same version.
ROUNDS = 5


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


def champion(registry: str) -> Champion | None:
    """The champion that this run is judged against, with its files, or None where nothing had been published.

    Raises:
        StepError: ``champion.json`` is corrupt, or names a version that is not whole.
    """
    version = naming.state(registry)
    if not version:
        return None
    uri = version_uri(registry, version)
    if storage.is_remote(uri) and storage.is_complete(uri):
        # The download compares every checksum.
        return Champion(version, storage.download(uri, Path(tempfile.mkdtemp(prefix="champion-")) / version))
    if faults := damage(uri):
        raise StepError(
            f"the champion {version} is damaged: {faults[0]}",
            advice="put an earlier version back with suanli registry rollback, or restore its files",
        )
    return Champion(version, Path(uri))


def damage(uri: str) -> list[str]:
    """What is wrong with a version's folder, one line each; every checksum is compared."""
    try:
        faults = storage.verify(uri)
    except FileNotFoundError:
        return ["its folder is gone"]
    names = set() if faults else set(storage.listing(uri))
    return faults or [f"{name} is missing" for name in (VERSION, MODEL) if name not in names]


def put(registry: str, folder: Path, version: str) -> None:
    """Write a version, unless it is there whole. What a crash left of it is completed, what is damaged written anew.

    Raises:
        StepError: kind ``conflict``: the id is taken by other content.
    """
    uri = version_uri(registry, version)
    for rounds_left in reversed(range(ROUNDS)):
        if storage.exists(uri):
            if not damage(uri):
                _check_equal(uri, folder, version)
                return
            if not storage.is_remote(uri) or _once_whole(uri):
                storage.remove(uri)
        try:
            with _completing(uri, folder) as ours:
                storage.upload(ours, uri)
            return
        except StepError as error:
            # In Cloud Storage an equal run may be writing the same version: look again at what it has written.
            if error.kind != "conflict" or not rounds_left:
                raise


def _once_whole(uri: str) -> bool:
    """Whether a folder has a manifest: nobody is writing it any more."""
    try:
        storage.manifest(uri)
    except (FileNotFoundError, storage.Damaged):
        return False
    return True


@contextmanager
def _completing(uri: str, folder: Path) -> Iterator[Path]:
    """A version's files, in which those that another run of the same version has written already stand for our own.

    They differ in what was measured (the card), and a file that is there may be in the other's manifest any moment.
    """
    there = set(storage.listing(uri)) if storage.is_remote(uri) else set()
    if not there:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="version-") as aside:
        ours = Path(aside) / "ours"
        shutil.copytree(folder, ours)
        theirs = storage.copy(uri, Path(aside) / "theirs", names=sorted(there - {MODEL}))
        if VERSION not in there or _facts(theirs) == _facts(folder):
            shutil.copytree(theirs, ours, dirs_exist_ok=True)
        yield ours


def _check_equal(uri: str, folder: Path, version: str) -> None:
    """Refuse a version whose facts or weights differ from the one of that id.

    Exported formats and what was measured of them may differ between machines, though not within what export allows.
    """
    with _two_files(uri) as there:
        same = filecmp.cmp(there / MODEL, folder / MODEL, shallow=False) and _facts(there) == _facts(folder)
    if not same:
        raise StepError(
            f"the version {version} is in {uri} already, with other content: versions never change",
            advice="see suanli registry verify, or publish under another model name",
            kind="conflict",
        )


@contextmanager
def _two_files(uri: str) -> Iterator[Path]:
    if not storage.is_remote(uri):
        yield Path(uri)
        return
    with tempfile.TemporaryDirectory(prefix="version-") as folder:
        yield storage.download(uri, Path(folder), names=[VERSION, MODEL])


def _facts(folder: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((folder / VERSION).read_text())
    return {name: value for name, value in values.items() if name != "formats"}
