"""GKE's compute classes, for ladders of rungs that one pod can use."""

from collections.abc import Sequence
from contextlib import suppress

from components.core.errors import StepError
from pipelines.cluster.kube.access import Access, apply, read
from pipelines.cluster.kube.errors import ForbiddenError
from pipelines.hardware import compute_class
from pipelines.hardware.ladder import Rung

GROUP = "/apis/cloud.google.com/v1"


def served(cluster: Access) -> bool:
    """Whether the cluster has compute classes."""
    try:
        group = read(cluster, GROUP) or {}
    except ForbiddenError:
        return False
    return any(resource.get("name") == "computeclasses" for resource in group.get("resources", []))


def ensure(cluster: Access, rungs: Sequence[Rung]) -> str:
    """Create or update the compute class of some rungs, unless it is as it should be, and return its name.

    Raises:
        StepError: this user may not create it, or the cluster refuses it.
    """
    wanted = compute_class.manifest(compute_class.name_of(rungs), rungs)
    name: str = wanted["metadata"]["name"]
    path = f"{GROUP}/computeclasses/{name}"
    with suppress(ForbiddenError):
        existing = read(cluster, path)
        if existing and existing["spec"].get("priorities") == wanted["spec"]["priorities"]:
            return name
    try:
        apply(cluster, path, wanted)
    except ForbiddenError as error:
        raise StepError(
            f"no right to create the compute class {name}: {error}",
            advice="let an administrator apply what suanli explain prints, or give --compute-class",
            kind="settings",
        ) from None
    return name
