"""A rung of the ladder as the pipeline's placement parameters."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.hardware.catalog.row import CLASS_LABEL, SPOT_LABEL, Taint
from pipelines.hardware.catalog.shapes import COUNT_LABEL, MACHINE_LABEL
from pipelines.hardware.ladder import Capacity, Rung

FLEX_LABEL = "cloud.google.com/gke-flex-start"
# Capacity -> the label of its nodes; the same key may be a taint of the pool.
CAPACITY_LABELS: Mapping[Capacity, str] = {"spot": SPOT_LABEL, "flex-start": FLEX_LABEL}


def for_rungs(rungs: Sequence[Rung], *, compute_class: str = "", autopilot: bool = False) -> dict[str, Any]:
    """Parameter of the training pipeline -> value, which binds train's pod to this hardware.

    Args:
        rungs: one rung, or several that one pod can use and a compute class chooses from.
        compute_class: the class that selects the nodes; it replaces the row's own labels.
        autopilot: whether the cluster is GKE Autopilot, whose nodes have no label for the machine type.
    """
    row = rungs[0].row
    # The requests must fit each of the machines that the pod may get.
    smallest = min(rungs, key=lambda rung: (rung.row.vcpus, rung.row.memory_gib)).row
    tightest = min(rungs, key=lambda rung: rung.row.memory_gib).row
    return {
        "accelerator_type": row.resource,
        "accelerator_count": str(row.count) if row.resource else "0",
        "node_selector": _selector(rungs[0], compute_class, autopilot),
        "tolerations": _tolerations(rungs, compute_class),
        "train_cpu": smallest.requests[0],
        "train_memory": tightest.requests[1],
    }


def _selector(rung: Rung, compute_class: str, autopilot: bool) -> dict[str, str]:
    if compute_class:
        return {CLASS_LABEL: compute_class}
    labels = dict(rung.row.labels)
    if autopilot:
        labels.pop(MACHINE_LABEL, None)
        if rung.row.kind == "gpu":
            labels[COUNT_LABEL] = str(rung.row.count)
    if rung.capacity in CAPACITY_LABELS:
        labels[CAPACITY_LABELS[rung.capacity]] = "true"
    return labels


def capacity_taints(rungs: Sequence[Rung]) -> list[Taint]:
    """Taints that keep pods of other capacity types away from these machines: a selector cannot exclude spot nodes.

    Standard clusters taint such pools only if their owner configures it (``suanli nodepool`` does); compute classes and
    Autopilot always taint spot nodes.
    """
    keys = {CAPACITY_LABELS[rung.capacity]: None for rung in rungs if rung.capacity in CAPACITY_LABELS}
    return [Taint(key=key, value="true") for key in keys]


def _tolerations(rungs: Sequence[Rung], compute_class: str) -> list[dict[str, str]]:
    taints = [*rungs[0].row.taints, *capacity_taints(rungs)]
    if compute_class:
        taints.append(Taint(key=CLASS_LABEL, value=compute_class))
    return [taint.toleration() for taint in taints]
