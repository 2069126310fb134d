"""The contents of a registry: models and versions, and their verification."""

from dataclasses import dataclass
from typing import Any, Literal

from components import storage
from components.core.errors import StepError
from components.registry import history, pointer, versions
from components.registry.history import ID, VERSIONS, Entry, succession
from components.registry.pointer import CHAMPION
from components.registry.versions import version_uri

State = Literal["champion", "published", "rolled back", "unpublished", "damaged"]


@dataclass(frozen=True)
class Version:
    """A version's folder.

    Attributes:
        registry: the model's registry.
        state: ``published`` versions were the champion once; ``rolled back`` ones, too, and are not published again;
            ``unpublished`` ones are left by a publish that was interrupted or came second; ``damaged`` ones were
            published and are no longer complete.
        entry: the change that first made it the champion; None if unpublished.
        facts: the content of ``version.json``; empty if it cannot be read.
        note: when it was rolled back from, and when it was put back; may be empty.
        drift: how much better it is than the best version, by the differences that decided: 0 or less; None if it is
            not in use or was rolled back from.
    """

    registry: str
    id: str
    state: State
    entry: Entry | None
    facts: dict[str, Any]
    note: str = ""
    drift: float | None = None

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
            "note": self.note,
            "drift": self.drift,
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
    """A model's versions: the published ones, oldest first, then the unpublished ones, which are all of them if the
    history is lost."""
    champion = pointer.load(registry)
    changes = succession(champion.history)
    first: dict[str, Entry] = {}
    for entry in champion.history:
        first.setdefault(entry.version, entry)
    folders = {name.partition("/")[0] for name in storage.listing(storage.join(registry, VERSIONS))}
    # A folder that is being written has a dot before its name.
    others = sorted(name for name in folders - first.keys() if ID.fullmatch(name))
    gain, best = history.gains(champion.history), history.best(champion.history)
    result = []
    for id_ in [*first, *others]:
        uri, published = version_uri(registry, id_), id_ in first
        facts = versions.facts(uri) if storage.is_complete(uri) else {}
        state: State = "published" if published else "unpublished"
        if published and not facts:
            state = "damaged"
        elif id_ == champion.version:
            state = "champion"
        elif id_ in changes.withdrawn:
            state = "rolled back"
        note = ""
        if rollback := changes.withdrawn.get(id_):
            note = f"rolled back {day(rollback.time)}, not published again"
        elif id_ in changes.restored:
            rollback, restored = changes.restored[id_]
            note = f"rolled back {day(rollback.time)}, put back {day(restored.time)}"
        drift = gain[id_] - gain[best] if id_ in changes.lineage else None
        result.append(Version(registry, id_, state, first.get(id_), facts, note, drift))
    return result


def day(time: str) -> str:
    """A change's time for people."""
    return time.replace("T", " ").replace("+00:00", " UTC")


def find(registry: str, which: str = "") -> Version:
    """The version with an id or an unambiguous prefix of one; the champion if it is empty.

    Raises:
        StepError: no version matches, or several do.
    """
    listed = list_versions(registry)
    prefix = which or pointer.read(registry).version
    matching = [one for one in listed if one.id == prefix] or [one for one in listed if one.id.startswith(prefix)]
    if prefix and len(matching) == 1:
        return matching[0]
    if not prefix:
        raise StepError(f"{registry} has no champion", advice="nothing has been published there", kind="settings")
    problem = f"{len(matching)} versions begin with {which!r}" if matching else f"unknown version {which!r}"
    ids = ", ".join(one.id for one in matching or listed) or "none"
    raise StepError(f"{problem} in {registry}", advice=f"versions: {ids}", kind="settings")


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
    """Compare all files of a model's versions, or of one version, with their checksums, and each version with its id,
    its own digests and the manifest that was published.

    Raises:
        StepError: there is no such version.
    """
    name, champion = model_name(registry), pointer.load(registry)
    listed = [find(registry, which)] if which else list_versions(registry)
    published = [version for version in listed if version.entry]
    faults = [f"{name}: {champion.fault}"] if champion.fault else []
    for version in published:
        problems = versions.faults(registry, version.id, champion.manifest(version.id))
        faults += [f"{name} {version.id}: {fault}" for fault in problems]
    if listed and not published and not which and not champion.fault:
        faults.append(f"{name}: no {CHAMPION}, though there are versions")
    notes = [
        f"{name} {version.id}: never published, {'complete' if version.facts else 'incomplete'}"
        for version in listed
        if not version.entry
    ]
    return Verification(registry, len(published), faults, notes)
