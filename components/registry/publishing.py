"""Changes of champion: publishing a better version, and rolling back to an earlier one."""

import shlex
from pathlib import Path

from components import storage
from components.core.errors import StepError
from components.registry import history, pointer, versions

SINCE_EVALUATED = (
    "since this model was evaluated",
    "evaluate again: run the experiment once more, or resume this run",
)


def publish(registry: str, folder: Path, version: str, expected: str, difference: float | None = None) -> None:
    """Publish a version as the champion, if the champion is still the expected one, or this version already.

    Args:
        registry: the model's registry.
        folder: the version's files.
        version: its id, a digest of its content, so that an existing version is reused.
        expected: the id of the champion that the decision was made against; empty for none.
        difference: how much better it was found than that champion.

    Raises:
        StepError: kind ``conflict``: another champion was published meanwhile, or the id has other content; kind
            ``model``: the version was rolled back from. The champion does not change.
    """
    with pointer.locked(registry):
        before = pointer.read(registry)
        if before.version != version:
            _check(before.incumbent, expected, *SINCE_EVALUATED)
            _refuse_withdrawn(registry, before, folder, version)
        versions.store(registry, folder, version)
        manifest = storage.manifest(versions.version_uri(registry, version)).digest
        # Published by an interrupted run, or by an equal one; a damaged version was written again, perhaps otherwise.
        if before.version == version and before.manifest(version) in {"", manifest} and not before.fault:
            history.record(registry, before.history)  # a run that was killed may not have come so far
            return
        try:
            pointer.change(registry, before, version, "publish", manifest, difference)
        except StepError:
            present = pointer.read(registry)
            if present.version == version:
                return  # an equal run was faster
            _check(present.incumbent, expected, *SINCE_EVALUATED)
            raise


def _refuse_withdrawn(registry: str, champion: pointer.ChampionPointer, folder: Path, version: str) -> None:
    """Refuse a version that was rolled back from, or one of the same weights that other code has exported.

    Raises:
        StepError: kind ``model``.
    """
    weights = versions.recorded_digest(versions.facts(str(folder)))
    for id_, rollback in history.succession(champion.history).withdrawn.items():
        same = weights and weights == versions.recorded_digest(versions.facts(versions.version_uri(registry, id_)))
        if id_ == version or same:
            what = version if id_ == version else f"{version}, which has the weights of {id_},"
            raise StepError(
                f"{what} was rolled back from on {rollback.time or 'an unknown day'} and is not published again",
                advice=f"change the experiment, or serve it again: suanli registry rollback {shlex.quote(registry)} "
                f"--to {id_}",
                kind="model",
            )


def _check(present: str, expected: str, when: str, advice: str) -> None:
    if present != expected:
        changed = f"the champion changed from {expected or 'none'} to {present or 'none'}"
        raise StepError(f"{changed} {when}", advice=advice, kind="conflict")


def rollback(registry: str, to: str = "", expected: str | None = None) -> tuple[str, str]:
    """Make an earlier version the champion again, if the champion is still the expected one.

    Args:
        registry: the model's registry.
        to: a version that was the champion once, also the present one if ``champion.json`` has to be written again;
            empty for the one before the present champion.
        expected: the id of the champion that the caller has seen; None for the present one.

    Returns:
        The ids of the previous and the new champion.

    Raises:
        StepError: there is no such version, it is damaged, or (kind ``conflict``) the champion changed meanwhile.
    """
    with pointer.locked(registry):
        before = pointer.load(registry) if to else pointer.read(registry)
        if expected is not None:
            _check(before.version, expected, "meanwhile", "look again: suanli registry list")
        version = to or _version_before(before)
        if before.history and version not in {entry.version for entry in before.history}:
            raise StepError(
                f"{version} was never the champion in {registry}",
                advice=f"choose from {', '.join(dict.fromkeys(entry.version for entry in before.history))}",
                kind="settings",
            )
        if version == before.version and not before.fault:
            raise StepError(f"{version} is the champion already", kind="settings")
        if faults := versions.faults(registry, version, before.manifest(version)):
            raise StepError(
                f"the version {version} is damaged: {faults[0]}",
                advice="choose another with --to; suanli registry verify lists all faults",
            )
        if version == before.version:
            pointer.write(registry, before, before.history)
        else:
            manifest = storage.manifest(versions.version_uri(registry, version)).digest
            pointer.change(registry, before, version, "rollback", manifest)
        return before.version, version


def _version_before(champion: pointer.ChampionPointer) -> str:
    lineage = history.succession(champion.history).lineage
    if len(lineage) < 2:
        reason = f"no version was the champion before {lineage[0]}" if lineage else "nothing has been published"
        raise StepError(reason, advice="there is nothing to roll back to", kind="settings")
    return lineage[-2]
