"""The folders of versions, which never change once they are complete."""

import filecmp
import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components import storage
from components.core.config import fingerprint
from components.core.errors import StepError
from components.registry import history, pointer
from components.registry.history import VERSIONS

VERSION, MODEL = "version.json", "model.keras"
# Fields of version.json that are measured: they may differ between machines, within the tolerances of export.
MEASURED = frozenset({"formats", "left_out"})
# The ids that export gives.
DERIVED = re.compile("[0-9a-f]{12}")
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
        return facts(str(self.folder))


def version_uri(registry: str, version: str) -> str:
    return storage.join(registry, VERSIONS, version)


def champion(registry: str) -> Champion | None:
    """The champion that this run is compared with, with its files, if any.

    Raises:
        StepError: ``champion.json`` is corrupt, or its version is damaged.
    """
    present = pointer.read(registry)
    return _verified(registry, present, present.incumbent, "champion") if present.incumbent else None


def anchor(registry: str, which: str = "best") -> Champion | None:
    """The version that a challenger must not be worse than either, with its files.

    Args:
        which: ``best``, the id of a version that was the champion once, or ``none``.

    Returns:
        None if there is none, or if it is the champion.

    Raises:
        StepError: there is no such version, or it is damaged.
    """
    present = pointer.read(registry)
    if which == "none" or not present.before:
        return None
    version = history.best(present.before) if which == "best" else which
    if version not in {entry.version for entry in present.before}:
        raise StepError(
            f"evaluation.anchor: {which} was never the champion in {registry}",
            advice="suanli registry list shows the versions; best is the best of them",
            kind="settings",
        )
    return _verified(registry, present, version, "anchor") if version != present.incumbent else None


def _verified(registry: str, present: pointer.ChampionPointer, version: str, role: str) -> Champion:
    uri = version_uri(registry, version)
    if storage.is_remote(uri) and storage.is_complete(uri):
        # The download compares the checksums.
        folder = storage.download(uri, Path(tempfile.mkdtemp(prefix=f"{role}-")) / version)
        problems = _recorded_manifest(uri, present.manifest(version)) or contradictions(folder, version)
    else:
        folder, problems = Path(uri), faults(registry, version, present.manifest(version))
    if problems:
        raise StepError(
            f"the {role} {version} is damaged: {problems[0]}",
            advice="put an earlier version back with suanli registry rollback, or restore its files"
            if role == "champion"
            else "restore its files, or set evaluation.anchor to another version or none",
        )
    return Champion(version, folder)


# --- verification ----------------------------------------------------------------------------------------------------


def damage(uri: str) -> list[str]:
    """Faults of a version's folder, including wrong checksums, one per line."""
    try:
        problems = storage.verify(uri)
    except FileNotFoundError:
        return ["its folder is gone"]
    names = set() if problems else set(storage.listing(uri))
    return problems or [f"{name} is missing" for name in (VERSION, MODEL) if name not in names]


def faults(registry: str, version: str, manifest: str = "") -> list[str]:
    """What is wrong with a version: damage, another manifest than at its publication, or an id and digests that are not
    those of its content; one per line. A model that was exchanged together with its manifest is found, too.

    Args:
        manifest: the digest of its manifest when it was published; empty if unknown.
    """
    uri = version_uri(registry, version)
    if problems := damage(uri) or _recorded_manifest(uri, manifest):
        return problems
    with _model_and_facts(uri) as folder:
        return contradictions(folder, version)


def _recorded_manifest(uri: str, expected: str) -> list[str]:
    present = storage.manifest(uri).digest
    return [f"its manifest has the digest {present}, {expected} was published"] if expected not in {"", present} else []


def contradictions(folder: Path, version: str = "") -> list[str]:
    """Digests in a version's ``version.json`` that are not those of its files, and a wrong id; one per line.

    Args:
        version: the id; empty if unknown.
    """
    described = facts(str(folder))
    recorded = recorded_digest(described)
    try:
        model, made = _model_digest(folder / MODEL), version_id(described)
    except (OSError, ValueError) as error:
        return [f"it cannot be read: {error}"]
    if model and recorded not in {"", model}:
        return [f"{MODEL} has the digest {model}, {VERSION} has {recorded}"]
    if version and made != version and (recorded or DERIVED.fullmatch(version)):
        return [f"{VERSION} describes the version {made}"]
    return []


def require_intact(folder: Path) -> None:
    """Check a version's local folder, wherever it lies: against its manifest, if it has one, and its own digests.

    Raises:
        StepError: kind ``data``: it differs.
    """
    # A copy from Cloud Storage has been compared with its manifest, and leaves it there. The folder of a version in a
    # registry has its id as its name.
    uri, in_registry = str(folder), folder.parent.name == VERSIONS
    problems = damage(uri) if in_registry or (folder / storage.MANIFEST).exists() else []
    if problems := problems or contradictions(folder, folder.name if in_registry else ""):
        raise StepError(f"{folder} is damaged: {problems[0]}", advice="take another version, or export the model again")


def version_id(described: Mapping[str, Any]) -> str:
    """The id of a version: a digest of ``version.json`` without measurements, which differ between equal versions."""
    identity = {name: value for name, value in described.items() if name not in MEASURED}
    # As it is read again: JSON has no tuples, and no numbers as keys.
    return fingerprint(json.loads(json.dumps(identity)))[:12]


def recorded_digest(described: Mapping[str, Any]) -> str:
    """The digest of the model in ``version.json``; empty if it has none."""
    fingerprints = described.get("fingerprints")
    return str(fingerprints.get(MODEL, "")) if isinstance(fingerprints, dict) else ""


def _model_digest(path: Path) -> str:
    """The digest of a model's file; empty if somebody took other formats alone."""
    if not path.exists():
        return ""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:16]


def facts(uri: str) -> dict[str, Any]:
    """The content of ``version.json``; empty if it cannot be read."""
    try:
        values = json.loads(storage.read_text(storage.join(uri, VERSION)))
    except (OSError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


# --- writing ---------------------------------------------------------------------------------------------------------


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
        if VERSION not in existing or _compared(theirs) == _compared(folder):
            shutil.copytree(theirs, ours, dirs_exist_ok=True)
        yield ours


def _check_equal(uri: str, folder: Path, version: str) -> None:
    """Refuse a version whose facts or weights differ from the existing one with its id.

    Exported formats and their measurements may differ between machines, within the tolerances of export.
    """
    with _model_and_facts(uri) as existing:
        same = filecmp.cmp(existing / MODEL, folder / MODEL, shallow=False) and _compared(existing) == _compared(folder)
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


def _compared(folder: Path) -> dict[str, Any]:
    return {name: value for name, value in facts(str(folder)).items() if name != "formats"}
