"""What a registry holds: its models, their versions, and whether every byte is as it was published."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from components import storage
from components.core.errors import StepError
from components.registry import naming, versions
from components.registry.naming import CHAMPION, Entry

VERSIONS = "versions"


@dataclass(frozen=True)
class Version:
    """A version's folder.

    Attributes:
        registry: the model's registry.
        state: ``published`` ones were the champion once; ``unpublished`` is what a publish left that was interrupted
            or came second; ``damaged`` was published and is not whole any more.
        entry: how it became the champion the first time; None for an unpublished one.
        facts: what ``version.json`` says; empty where it cannot be read.
    """

    registry: str
    id: str
    state: Literal["champion", "published", "unpublished", "damaged"]
    entry: Entry | None
    facts: dict[str, Any]

    @property
    def uri(self) -> str:
        return versions.version_uri(self.registry, self.id)

    def document(self) -> dict[str, Any]:
        """The version for programs."""
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
    """A model's name, which is its registry's last part."""
    return registry.rstrip("/").rpartition("/")[2]


def models(place: str) -> list[str]:
    """The registries of the models at a place: below a root, or the one that the place itself is."""
    names = [name.split("/") for name in storage.listing(place)]
    if any(parts[0] == VERSIONS or parts == [CHAMPION] for parts in names):
        return [place]
    inner = {parts[0] for parts in names if len(parts) > 1 and parts[1] in (VERSIONS, CHAMPION)}
    return [storage.join(place, name) for name in sorted(inner)]


def every(registry: str) -> list[Version]:
    """A model's versions: the published ones, the oldest first, then what was never published.

    Raises:
        StepError: ``champion.json`` is corrupt.
    """
    named = naming.read(registry)
    first: dict[str, Entry] = {}
    for entry in named.history:
        first.setdefault(entry.version, entry)
    there = _folders(registry)
    return [_version(registry, id_, named.version, first.get(id_)) for id_ in [*first, *sorted(there - first.keys())]]


def find(registry: str, which: str = "") -> Version:
    """A version by its id or an unambiguous beginning of it; the champion without one.

    Raises:
        StepError: there is none, or more than one.
    """
    found = every(registry)
    wanted = which or naming.read(registry).version
    matching = [one for one in found if one.id == wanted] or [one for one in found if one.id.startswith(wanted)]
    if wanted and len(matching) == 1:
        return matching[0]
    if not wanted:
        raise StepError(f"{registry} has no champion", advice="nothing has been published there", kind="settings")
    problem = f"{len(matching)} versions begin with {which!r}" if matching else f"unknown version {which!r}"
    known = ", ".join(one.id for one in matching or found) or "none"
    raise StepError(f"{problem} in {registry}", advice=f"versions: {known}", kind="settings")


def _folders(registry: str) -> set[str]:
    """The names below ``versions/``; what is being written has a dot before its own."""
    names = {name.partition("/")[0] for name in storage.listing(storage.join(registry, VERSIONS))}
    return {name for name in names if naming.ID.fullmatch(name)}


def _version(registry: str, id_: str, champion: str, entry: Entry | None) -> Version:
    uri = versions.version_uri(registry, id_)
    facts = _facts(uri) if storage.is_complete(uri) else {}
    if entry is None:
        return Version(registry, id_, "unpublished", None, facts)
    state: Literal["champion", "published"] = "champion" if id_ == champion else "published"
    return Version(registry, id_, state if facts else "damaged", entry, facts)


def _facts(uri: str) -> dict[str, Any]:
    """What ``version.json`` says; empty where it cannot be read."""
    try:
        facts = json.loads(storage.read_text(storage.join(uri, versions.VERSION)))
    except (OSError, ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}


@dataclass(frozen=True)
class Verified:
    """What a verification found.

    Attributes:
        registry: the model's registry.
        versions: how many published versions were read.
        faults: what is wrong, one line each; empty for a sound registry.
        notes: what is no fault, one line each: versions that were never published.
    """

    registry: str
    versions: int
    faults: list[str]
    notes: list[str]


def verify(registry: str, which: str = "") -> Verified:
    """Read every file of a model's versions, or of one, and compare it with its checksum.

    Raises:
        StepError: there is no such version.
    """
    name = model_name(registry)
    try:
        found = [find(registry, which)] if which else every(registry)
    except StepError as error:
        if error.kind == "settings":
            raise
        return Verified(registry, 0, [f"{name}: {error}"], [])
    published = [version for version in found if version.entry]
    faults = [f"{name} {version.id}: {fault}" for version in published for fault in versions.damage(version.uri)]
    if not published:
        faults += [f"{name}: no {CHAMPION}, though there are versions"] * bool(found) * (not which)
    return Verified(registry, len(published), faults, _notes(name, found))


def _notes(name: str, found: Sequence[Version]) -> list[str]:
    rest = [version for version in found if not version.entry]
    return [f"{name} {one.id}: never published, {'whole' if one.facts else 'half-written'}" for one in rest]
