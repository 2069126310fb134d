"""GKE's ComputeClass for a ladder: the rungs that one pod can use, tried from top to bottom.

Fields and their conflicts: Google Cloud, "ComputeClass" (reference of the custom resource definition), and the classes
of GoogleCloudPlatform/accelerated-platforms, platforms/gke/base/core/custom_compute_class.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from components.core.errors import StepError
from pipelines.hardware.catalog import Row
from pipelines.hardware.catalog.shapes import GPU_LABEL, TPU_LABEL
from pipelines.hardware.ladder import CAPACITIES, Rung

API_VERSION, KIND = "cloud.google.com/v1", "ComputeClass"
LABELS: Mapping[str, str] = {"app.kubernetes.io/name": "suanli", "app.kubernetes.io/component": "compute-class"}
# Flex-start machines are taken back after seven days at most (Google Cloud, "About flex-start"); asking for a shorter
# time does not start them sooner.
FLEX_START_S = 7 * 24 * 3600
# Google Cloud, "About flex-start": GPUs, TPUs from v5e on.
NO_FLEX_START = ("v4",)
NAME_LENGTH = 63


def manifest(name: str, rungs: Sequence[Rung], *, driver: str = "latest") -> dict[str, Any]:
    """The class as a Kubernetes object.

    Args:
        name: its name, which pods select: :func:`name_of`.
        rungs: of one resource and count, in the order in which they are tried.
        driver: the version of NVIDIA's driver that GKE installs: ``default`` or ``latest``.

    Raises:
        StepError: the rungs ask for different things, or GKE cannot make a rung's nodes.
    """
    _check(rungs)
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name, "labels": dict(LABELS)},
        "spec": {
            "nodePoolAutoCreation": {"enabled": True},
            # Migration would evict a training pod when capacity of a better rule becomes free.
            "activeMigration": {"optimizeRulePriority": False},
            "whenUnsatisfiable": "DoNotScaleUp",
            "priorities": [_priority(rung, driver) for rung in rungs],
        },
    }


def name_of(rungs: Sequence[Rung]) -> str:
    """The name of a ladder's class, such as ``suanli-l4x2-spot-l4x2``: the same for the same rungs, a DNS-1123 label.

    It is cut and ends in a digest if it would be too long, or could be another ladder's as well.
    """
    words = [str(rung) for rung in rungs]
    name = "-".join(["suanli", *words]).replace(":", "-")
    ambiguous = any(rung.row.name.endswith(tuple(f"-{capacity}" for capacity in CAPACITIES)) for rung in rungs)
    if len(name) <= NAME_LENGTH and not ambiguous:
        return name.rstrip("-")
    digest = hashlib.sha256(",".join(words).encode()).hexdigest()[:8]
    return f"{name[: NAME_LENGTH - len(digest) - 1].rstrip('-')}-{digest}"


def _check(rungs: Sequence[Rung]) -> None:
    if not rungs:
        raise StepError("a compute class needs at least one rung", kind="settings")
    if len({(rung.row.resource, rung.row.count) for rung in rungs}) > 1:
        names = ", ".join(dict.fromkeys(rung.row.name for rung in rungs))
        raise StepError(
            f"no compute class can hold {names}: a pod asks for one resource and one count",
            advice="put rows of one kind and count into a class",
            kind="settings",
        )


def _priority(rung: Rung, driver: str) -> dict[str, Any]:
    rule: dict[str, Any] = {"machineType": rung.row.machine_types[0], **_chips(rung.row, driver)}
    # The two exclude each other.
    if rung.capacity == "flex-start":
        return {**rule, **_flex_start(rung.row)}
    return {**rule, "spot": rung.spot}


def _chips(row: Row, driver: str) -> dict[str, Any]:
    match row.kind:
        case "gpu":
            return {"gpu": {"type": _type(row, GPU_LABEL), "count": row.count, "driverVersion": driver}}
        case "tpu":
            # The chips of a node, which are all chips of a single-host slice.
            return {"tpu": {"type": _type(row, TPU_LABEL), "count": row.count, "topology": row.topology}}
    return {}


def _type(row: Row, label: str) -> str:
    if label not in row.labels:
        raise StepError(
            f"{row.name}: its labels have no {label}, so GKE cannot make its nodes",
            advice="add the label in accelerators.toml, or use the row without a compute class",
            kind="settings",
        )
    return row.labels[label]


def _flex_start(row: Row) -> dict[str, Any]:
    if row.kind == "cpu" or row.chip in NO_FLEX_START:
        raise StepError(
            f"{row.name}:flex-start: GKE has no flex-start for {row.chip}", advice="use spot", kind="settings"
        )
    return {"flexStart": {"enabled": True}, "maxRunDurationSeconds": FLEX_START_S}
