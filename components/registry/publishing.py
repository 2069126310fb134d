"""Changes of champion: publishing a better version, and rolling back to an earlier one."""

from pathlib import Path

from components.core.errors import StepError
from components.registry import pointer, versions

SINCE_EVALUATED = (
    "since this model was evaluated",
    "evaluate again: run the experiment once more, or resume this run",
)


def publish(registry: str, folder: Path, version: str, expected: str) -> None:
    """Publish a version as the champion, if the champion is still the expected one, or this version already.

    Args:
        registry: the model's registry.
        folder: the version's files.
        version: its id, a digest of its content, so that an existing version is reused.
        expected: the id of the champion that the decision was made against; empty for none.

    Raises:
        StepError: kind ``conflict``: another champion was published meanwhile, or the id has other content; the
            champion does not change.
    """
    with pointer.locked(registry):
        before = pointer.read(registry)
        if before.version != version:
            _check(before.incumbent, expected, *SINCE_EVALUATED)
        versions.store(registry, folder, version)
        if before.version == version:
            return  # published by an interrupted run, or by an equal one
        try:
            pointer.change(registry, before, version, "publish")
        except StepError:
            present = pointer.read(registry)
            if present.version == version:
                return  # an equal run was faster
            _check(present.incumbent, expected, *SINCE_EVALUATED)
            raise


def _check(present: str, expected: str, when: str, advice: str) -> None:
    if present != expected:
        changed = f"the champion changed from {expected or 'none'} to {present or 'none'}"
        raise StepError(f"{changed} {when}", advice=advice, kind="conflict")


def rollback(registry: str, to: str = "", expected: str | None = None) -> tuple[str, str]:
    """Make an earlier version the champion again, if the champion is still the expected one.

    Args:
        registry: the model's registry.
        to: a version that was the champion once; empty for the one before the present champion.
        expected: the id of the champion that the caller has seen; None for the present one.

    Returns:
        The ids of the previous and the new champion.

    Raises:
        StepError: there is no such version, it is damaged, or (kind ``conflict``) the champion changed meanwhile.
    """
    with pointer.locked(registry):
        before = pointer.read(registry)
        if expected is not None:
            _check(before.version, expected, "meanwhile", "look again: suanli registry list")
        version = to or _version_before(before)
        if version not in {entry.version for entry in before.history}:
            raise StepError(
                f"{version} was never the champion in {registry}",
                advice=f"choose from {', '.join(dict.fromkeys(entry.version for entry in before.history))}",
                kind="settings",
            )
        if version == before.version:
            raise StepError(f"{version} is the champion already", kind="settings")
        if faults := versions.damage(versions.version_uri(registry, version)):
            raise StepError(
                f"the version {version} is damaged: {faults[0]}",
                advice="choose another with --to; suanli registry verify lists all faults",
            )
        pointer.change(registry, before, version, "rollback")
        return before.version, version


def _version_before(champion: pointer.ChampionPointer) -> str:
    lineage = pointer.lineage(champion.history)
    if len(lineage) < 2:
        reason = f"no version was the champion before {lineage[0]}" if lineage else "nothing has been published"
        raise StepError(reason, advice="there is nothing to roll back to", kind="settings")
    return lineage[-2]
