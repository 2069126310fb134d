"""Changing the champion: by publishing a better version, or by going back to an earlier one."""

from pathlib import Path

from components.core.errors import StepError
from components.registry import naming, versions

SINCE_EVALUATED = (
    "since this model was evaluated",
    "evaluate again: run the experiment once more, or resume this run",
)


def publish(registry: str, folder: Path, version: str, expected: str) -> None:
    """Publish a version and make it the champion, if the champion is still the expected one (or is it already).

    Args:
        registry: the model's registry.
        folder: the version's files.
        version: its id, made of its content: a version that is there already is taken as it is.
        expected: the champion's id that the decision was made against; "" for none.

    Raises:
        StepError: kind ``conflict``: another champion was published meanwhile, or the id is taken by other content;
            the champion stays.
    """
    with naming.exclusively(registry):
        before = naming.read(registry)
        if before.version != version:
            _check(before.met, expected, *SINCE_EVALUATED)
        versions.put(registry, folder, version)
        if before.version == version:
            return  # published by a run that was interrupted after it, or by an equal one
        try:
            naming.change(registry, before, version, "publish")
        except StepError:
            present = naming.read(registry)
            if present.version == version:
                return  # an equal run was faster
            _check(present.met, expected, *SINCE_EVALUATED)
            raise


def _check(present: str, expected: str, when: str, advice: str) -> None:
    if present != expected:
        changed = f"the champion changed from {expected or 'none'} to {present or 'none'}"
        raise StepError(f"{changed} {when}", advice=advice, kind="conflict")


def rollback(registry: str, to: str = "", expected: str | None = None) -> tuple[str, str]:
    """Serve an earlier version again, if the champion is still the one that was seen.

    Args:
        registry: the model's registry.
        to: a version that was the champion once; without it, the one before the present champion.
        expected: the champion's id that the caller saw; without it, the present one.

    Returns:
        The ids of the champion of before and of now.

    Raises:
        StepError: there is no such version, it is damaged, or (kind ``conflict``) the champion changed meanwhile.
    """
    with naming.exclusively(registry):
        before = naming.read(registry)
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
                advice="choose another with --to; suanli registry verify names every fault",
            )
        naming.change(registry, before, version, "rollback")
        return before.version, version


def _version_before(named: naming.ChampionPointer) -> str:
    line = naming.line(named.history)
    if len(line) < 2:
        what = f"no version was the champion before {line[0]}" if line else "nothing has been published"
        raise StepError(what, advice="there is nothing to go back to", kind="settings")
    return line[-2]
