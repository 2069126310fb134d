"""The contents of a registry: models and versions, and their verification."""

import json
from dataclasses import dataclass
from typing import Any, Literal

from components import storage
from components.core.errors import StepError
from components.registry import pointer
from components.registry.pointer import CHAMPION, Entry
from components.registry.versions import VERSION, damage, version_uri

VERSIONS = "versions"


@dataclass(frozen=True)
class Version:
    """A version's folder.

    Attributes:
        registry: the model's registry.
        state: ``published`` versions were the champion once; ``unpublished`` ones are left by a publish that was
            interrupted or came second; ``damaged`` ones were published and are no longer complete.
        entry: the change that first made it the champion; None if unpublished.
        facts: the content of ``version.json``; empty if it cannot be read.
    """

    registry: str
    id: str
    state: Literal["champion", "published", "unpublished", "damaged"]
    entry: Entry | None
    facts: dict[str, Any]

    @property
    def uri(self) -> str:
        return version_uri(self.registry, self.id)

    def document(self) -> dict[str, Any]:
        """The version as JSON values."""
        published = self.entry.model_dump(include={"time", "run", "replaced"}) if self.entry else {}
        return {
            "model": model_name(self.registry),
            "version": self.id,
            "state": self.state,
            "uri": self.uri,
            "published": published,
            "metrics": self.facts.get("metrics", {}),
        }


def model_name(registry: str) -> str:
    """A model's name, the last part of its registry's URI."""
    return registry.rstrip("/").rpartition("/")[2]


def list_models(uri: str) -> list[str]:
    """The registries of the models at a URI, which is a root of registries or a registry itself."""
    names = [name.split("/") for name in storage.listing(uri)]
    if any(parts[0] == VERSIONS or parts == [CHAMPION] for parts in names):
        return [uri]
    inner = {parts[0] for parts in names if len(parts) > 1 and parts[1] in (VERSIONS, CHAMPION)}
    return [storage.join(uri, name) for name in sorted(inner)]


def list_versions(registry: str) -> list[Version]:
    """A model's versions: the published ones, oldest first, then the unpublished ones.

    Raises:
        StepError: ``champion.json`` is corrupt.
    """
    champion = pointer.read(registry)
    first: dict[str, Entry] = {}
    for entry in champion.history:
        first.setdefault(entry.version, entry)
    folders = {name.partition("/")[0] for name in storage.listing(storage.join(registry, VERSIONS))}
    # A folder that is being written has a dot before its name.
    others = sorted(name for name in folders - first.keys() if pointer.ID.fullmatch(name))
    return [_version(registry, id_, champion.version, first.get(id_)) for id_ in [*first, *others]]


def find(registry: str, which: str = "") -> Version:
    """The version with an id or an unambiguous prefix of one; the champion if it is empty.

    Raises:
        StepError: no version matches, or several do.
    """
    versions = list_versions(registry)
    prefix = which or pointer.read(registry).version
    matching = [one for one in versions if one.id == prefix] or [one for one in versions if one.id.startswith(prefix)]
    if prefix and len(matching) == 1:
        return matching[0]
    if not prefix:
        raise StepError(f"{registry} has no champion", advice="nothing has been published there", kind="settings")
    problem = f"{len(matching)} versions begin with {which!r}" if matching else f"unknown version {which!r}"
    ids = ", ".join(one.id for one in matching or versions) or "none"
    raise StepError(f"{problem} in {registry}", advice=f"versions: {ids}", kind="settings")


def _version(registry: str, id_: str, champion: str, entry: Entry | None) -> Version:
    uri = version_uri(registry, id_)
    facts = _facts(uri) if storage.is_complete(uri) else {}
    if entry is None:
        return Version(registry, id_, "unpublished", None, facts)
    state: Literal["champion", "published"] = "champion" if id_ == champion else "published"
    return Version(registry, id_, state if facts else "damaged", entry, facts)


def _facts(uri: str) -> dict[str, Any]:
    """The content of ``version.json``; empty if it cannot be read."""
    try:
        facts = json.loads(storage.read_text(storage.join(uri, VERSION)))
    except (OSError, ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}


@dataclass(frozen=True)
class Verification:
    """The result of a verification.

    Attributes:
        registry: the model's registry.
        versions: number of published versions that were read.
        faults: one per line; empty if the registry is intact.
        notes: on versions that were never published, one per line.
    """

    registry: str
    versions: int
    faults: list[str]
    notes: list[str]


def verify(registry: str, which: str = "") -> Verification:
    """Compare all files of a model's versions, or of one version, with their checksums.

    Raises:
        StepError: there is no such version.
    """
    name = model_name(registry)
    try:
        versions = [find(registry, which)] if which else list_versions(registry)
    except StepError as error:
        if error.kind == "settings":
            raise
        return Verification(registry, 0, [f"{name}: {error}"], [])
    published = [version for version in versions if version.entry]
    faults = [f"{name} {version.id}: {fault}" for version in published for fault in damage(version.uri)]
    if versions and not published and not which:
        faults.append(f"{name}: no {CHAMPION}, though there are versions")
    notes = [
        f"{name} {version.id}: never published, {'complete' if version.facts else 'incomplete'}"
        for version in versions
        if not version.entry
    ]
    return Verification(registry, len(published), faults, notes)
