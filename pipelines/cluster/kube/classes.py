"""GKE's compute classes, for ladders of rungs that one pod can use."""

from collections.abc import Sequence
from contextlib import suppress

from components.core.errors import StepError
from pipelines.cluster.kube.access import Access, ForbiddenError, apply, read
from pipelines.hardware import compute_class
from pipelines.hardware.ladder import Rung

GROUP = "/apis/cloud.google.com/v1"


def served(way: Access) -> bool:
    """Whether the cluster has compute classes."""
    try:
        found = read(way, GROUP)
    except ForbiddenError:
        return False
    return any(resource.get("name") == "computeclasses" for resource in (found or {}).get("resources", []))


def put(way: Access, rungs: Sequence[Rung]) -> str:
    """See that the compute class of some rungs is there as it should be, and return its name.

    Raises:
        StepError: it is not, and this user may not make it, or the cluster refuses it.
    """
    wanted = compute_class.manifest(compute_class.name_of(rungs), rungs)
    name: str = wanted["metadata"]["name"]
    path = f"{GROUP}/computeclasses/{name}"
    with suppress(ForbiddenError):
        there = read(way, path)
        if there and there["spec"].get("priorities") == wanted["spec"]["priorities"]:
            return name
    try:
        apply(way, path, wanted)
    except ForbiddenError as error:
        raise StepError(
            f"the compute class {name} may not be made: {error}",
            advice="let an administrator apply what suanli explain prints, or give --compute-class",
            kind="settings",
        ) from None
    return name
