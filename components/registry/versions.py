"""The folders of versions, which never change once they are complete."""

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
from components.registry import pointer

VERSION, MODEL = "version.json", "model.keras"
# Attempts of a publisher while an equal run writes the same version.
ROUNDS = 5


@dataclass(frozen=True)
class Champion:
    """The published version with which challengers are compared.

    Attributes:
        id: of the version.
        folder: its local files: ``model.keras``, ``version.json``, the formats and the card.
    """

    id: str
    folder: Path

    def version(self) -> dict[str, Any]:
        """The content of ``version.json``."""
        values: dict[str, Any] = json.loads((self.folder / VERSION).read_text())
        return values


def version_uri(registry: str, version: str) -> str:
    return storage.join(registry, "versions", version)


def champion(registry: str) -> Champion | None:
    """The champion that this run is compared with, with its files, if any.

    Raises:
        StepError: ``champion.json`` is corrupt, or its version is damaged.
    """
    version = pointer.state(registry)
    if not version:
        return None
    uri = version_uri(registry, version)
    if storage.is_remote(uri) and storage.is_complete(uri):
        # The download compares the checksums.
        return Champion(version, storage.download(uri, Path(tempfile.mkdtemp(prefix="champion-")) / version))
    if faults := damage(uri):
        raise StepError(
            f"the champion {version} is damaged: {faults[0]}",
            advice="put an earlier version back with suanli registry rollback, or restore its files",
        )
    return Champion(version, Path(uri))


def damage(uri: str) -> list[str]:
    """Faults of a version's folder, including wrong checksums, one per line."""
    try:
        faults = storage.verify(uri)
    except FileNotFoundError:
        return ["its folder is gone"]
    names = set() if faults else set(storage.listing(uri))
    return faults or [f"{name} is missing" for name in (VERSION, MODEL) if name not in names]


def store(registry: str, folder: Path, version: str) -> None:
    """Write a version, unless it is complete. An interrupted one is completed, a damaged one is written again.

    Raises:
        StepError: kind ``conflict``: the id has other content.
    """
    uri = version_uri(registry, version)
    for rounds_left in reversed(range(ROUNDS)):
        if storage.exists(uri):
            if not damage(uri):
                _check_equal(uri, folder, version)
                return
            if not storage.is_remote(uri) or _has_manifest(uri):
                storage.remove(uri)
        try:
            with _completed(uri, folder) as ours:
                storage.upload(ours, uri)
            return
        except StepError as error:
            # In Cloud Storage an equal run may be writing the same version: check what it has written.
            if error.kind != "conflict" or not rounds_left:
                raise


def _has_manifest(uri: str) -> bool:
    """Whether a folder has a manifest: then nobody is writing it."""
    try:
        storage.manifest(uri)
    except (FileNotFoundError, storage.Damaged):
        return False
    return True


@contextmanager
def _completed(uri: str, folder: Path) -> Iterator[Path]:
    """A version's files, replaced by those that another run of the same version has written already.

    They differ in measurements (the card), and the other run's manifest may soon include the files that are there.
    """
    existing = set(storage.listing(uri)) if storage.is_remote(uri) else set()
    if not existing:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="version-") as temporary:
        ours = Path(temporary) / "ours"
        shutil.copytree(folder, ours)
        theirs = storage.copy(uri, Path(temporary) / "theirs", names=sorted(existing - {MODEL}))
        if VERSION not in existing or _facts(theirs) == _facts(folder):
            shutil.copytree(theirs, ours, dirs_exist_ok=True)
        yield ours


def _check_equal(uri: str, folder: Path, version: str) -> None:
    """Refuse a version whose facts or weights differ from the existing one with its id.

    Exported formats and their measurements may differ between machines, within the tolerances of export.
    """
    with _model_and_facts(uri) as existing:
        same = filecmp.cmp(existing / MODEL, folder / MODEL, shallow=False) and _facts(existing) == _facts(folder)
    if not same:
        raise StepError(
            f"the version {version} already exists in {uri} with other content, and versions never change",
            advice="check it by suanli registry verify, or publish under another model name",
            kind="conflict",
        )


@contextmanager
def _model_and_facts(uri: str) -> Iterator[Path]:
    if not storage.is_remote(uri):
        yield Path(uri)
        return
    with tempfile.TemporaryDirectory(prefix="version-") as folder:
        yield storage.download(uri, Path(folder), names=[VERSION, MODEL])


def _facts(folder: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((folder / VERSION).read_text())
    return {name: value for name, value in values.items() if name != "formats"}
