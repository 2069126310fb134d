"""Push images to a registry, each tag that is not there yet."""

from collections.abc import Sequence

from components.core.errors import StepError
from pipelines.cluster import images
from pipelines.compile import compiler
from pipelines.images import engine, names
from pipelines.images.build import BASE_DIGEST


def push(kinds: Sequence[str], registry: str, *, again: bool = False) -> None:
    """Push the images under ``REGISTRY/suanli-python-KIND:TAG``, and print the target's setting for them.

    A tag stands for the sources, so one that the registry has is left as it is, unless it stands on another base: then
    it is said, and replaced if asked. Submitted runs name their images by digest, which no push changes.

    Args:
        kinds: ``cpu``, ``gpu``, ``tpu``; by default ``cpu``.
        registry: the registry's host and folder.
        again: whether images that stand on another base in the registry are replaced.

    Raises:
        StepError: no such kind, no registry, no engine, an image that is not built, or the engine failed.
    """
    kinds, prefix = names.image_kinds(kinds), names.prefix(registry)
    program = engine.find()
    there = engine.images(program)
    for kind in kinds:
        if not there.issuperset(names.local(kind)):
            raise StepError(
                f"the {kind} image of these sources is not built",
                advice=f"run make images TARGETS={kind}, or in a project suanli images build {kind}",
                kind="settings",
            )
    for kind in kinds:
        base = engine.label(program, names.local(kind)[0], BASE_DIGEST)
        for name, tag in zip(names.local(kind), names.tags(kind), strict=True):
            _push(program, name, compiler.image_name(prefix, kind, tag), base, again)
    print(f'in targets.toml: image_prefix = "{prefix}"')


def _push(program: str, name: str, remote: str, base: str, again: bool) -> None:
    if images.look_up(remote).state == "present":
        there = images.label(remote, BASE_DIGEST)
        if there == base or not again:
            other = f", on another base ({there or 'unknown'}, here {base or 'unknown'}): push --again replaces it"
            print(f"{remote}: there already{'' if there == base else other}")
            return
    # docker takes a registry on this machine as one without TLS; the others are told.
    plain = ["--tls-verify=false"] if program != "docker" and images.is_plain(remote.partition("/")[0]) else []
    engine.run(program, "tag", name, remote)
    engine.run(program, "push", *plain, remote)
    print(f"{remote}: pushed")
