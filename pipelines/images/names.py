"""How images are named: one image a kind of node, with tags for each step that runs in it."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from components.core import choices, project, sources
from components.core.choices import Room, nearest
from components.core.errors import StepError
from components.steps import ACCELERATED, STEPS
from pipelines.compile import compiler
from pipelines.compile.targets import LOCAL_PREFIX

KINDS = tuple(sources.LOCKS)
# A host with a dot, a port or the name localhost, then folders (github.com/distribution/reference, reference.go).
REGISTRY = re.compile(
    r"(localhost|(?=[^/]*[.:])[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?)(:[0-9]+)?"
    r"(/[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*)*"
)


def image_kinds(kinds: Sequence[str]) -> list[str]:
    """The kinds asked for, each once. By default ``cpu``, which runs every step and is the smallest; the others only
    train, and only on a cluster.

    Raises:
        StepError: there is no such kind.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise StepError(f"unknown target {kind!r}", advice=nearest(kind, KINDS), kind="settings")
    return list(dict.fromkeys(kinds)) or [compiler.CPU]


def steps(kind: str) -> tuple[str, ...]:
    """The steps that run in a kind's image: all of them in the CPU's, and on an accelerator those that use it."""
    return tuple(step for step in STEPS if kind == compiler.CPU or step in ACCELERATED)


def tags(kind: str) -> list[str]:
    """A kind's tags, as ``compile`` writes them for whatever experiments can choose in this checkout or project."""
    return list(_tags(kind, sources.ROOT, project.own()))


@cache  # seconds of looking at files, several times a command
def _tags(kind: str, _root: Path, _project: Path | None) -> tuple[str, ...]:
    tags_in_order: dict[str, None] = {}
    for step in steps(kind):
        used = {*STEPS[step].rooms, *(("tasks",) if STEPS[step].roles else ())}
        chosen = {tuple((room, name) for room, name in one.items() if room in used) for one in _choices()}
        tags_in_order |= {compiler.image_tag(step, dict(one), kind): None for one in sorted(chosen)}
    return tuple(tags_in_order)


def _choices() -> Iterator[dict[Room, str]]:
    """Every data source with every task and each model that fits the task."""
    models = {name: choices.load("models", name).Settings.interface for name in choices.names("models")}
    for task in choices.names("tasks"):
        interface = choices.load("tasks", task).INTERFACE
        for model in (name for name, own in models.items() if own == interface):
            for source in choices.names("data"):
                yield {"data": source, "tasks": task, "models": model}


def local(kind: str) -> list[str]:
    """An image's names on this machine."""
    return [compiler.image_name(LOCAL_PREFIX, kind, tag) for tag in tags(kind)]


def prefix(registry: str) -> str:
    """The ``image_prefix`` of a target whose images lie in a registry.

    Raises:
        StepError: it is no registry's name.
    """
    example = "give REGISTRY=HOST/PATH, such as europe-docker.pkg.dev/PROJECT/REPOSITORY"
    if not registry:
        raise StepError("no registry is given", advice=example, kind="settings")
    if not REGISTRY.fullmatch(registry):
        raise StepError(
            f"{registry!r} names no registry", advice=f"{example}, without https:// or a tag", kind="settings"
        )
    return f"{registry}/{LOCAL_PREFIX}"
