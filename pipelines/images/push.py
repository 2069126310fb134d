"""Push images to a registry, each tag that is not there yet."""

from collections.abc import Sequence

from components.core.errors import StepError
from pipelines.cluster import images
from pipelines.compile import compiler
from pipelines.images import engine, names


def push(kinds: Sequence[str], registry: str) -> None:
    """Push the images under ``REGISTRY/suanli-python-KIND:TAG``, and print the target's setting for them.

    A tag stands for its content, so one that the registry has is left as it is: a run that is cached, or waits for a
    node, keeps its image.

    Args:
        kinds: ``cpu``, ``gpu``, ``tpu``; by default ``cpu``.
        registry: the registry's host and folder.

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
                advice=f"run make images TARGETS={kind}",
                kind="settings",
            )
    for kind in kinds:
        for name, tag in zip(names.local(kind), names.tags(kind), strict=True):
            _push(program, name, compiler.image_name(prefix, kind, tag))
    print(f'in targets.toml: image_prefix = "{prefix}"')


def _push(program: str, name: str, remote: str) -> None:
    if images.look_up(remote).state == "present":
        print(f"{remote}: there already")
        return
    # docker takes a registry on this machine as one without TLS; the others are told.
    plain = ["--tls-verify=false"] if program != "docker" and images.is_plain(remote.partition("/")[0]) else []
    engine.run(program, "tag", name, remote)
    engine.run(program, "push", *plain, remote)
    print(f"{remote}: pushed")
