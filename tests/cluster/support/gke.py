"""Nodes as GKE makes them of a catalog's rows, written from what GKE does, not from what the pods select.

Labels: Google Cloud, "GKE node labels" and the pages on compute classes, spot and flex-start; kubernetes/autoscaler,
cluster-autoscaler/cloudprovider/gce. Taints: GPU and TPU nodes have theirs always, nodes of a compute class its own and
spot's; spot and flex-start pools where their owner asks for it, as ``suanli nodepool`` does.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from api import OURS

from pipelines.hardware.catalog import Catalog, Row
from pipelines.hardware.catalog.row import allocatable_cores, allocatable_gib
from pipelines.hardware.ladder import CAPACITIES, Capacity, Rung

GOOGLE = "cloud.google.com"
ZONE = "us-central1-a"
# kwok looks after the nodes with this annotation.
MANAGED = {"kwok.x-k8s.io/node": "fake"}
POOL = f"{GOOGLE}/gke-nodepool"


def pool_of(rung: Rung, compute_class: str = "") -> str:
    """A pool's name, one for each row and capacity; GKE names the pools of a class itself."""
    return f"{'nap-' if compute_class else ''}{str(rung).replace(':', '-')}"


def node(rung: Rung, *, compute_class: str = "", number: int = 0, machine_type: str = "") -> dict[str, Any]:
    """A node of a rung's pool.

    Args:
        rung: the row and how it is paid for.
        compute_class: the class that GKE made the pool for.
        number: which node of the pool.
        machine_type: another one of the row's machine types.
    """
    row, pool = rung.row, pool_of(rung, compute_class)
    if machine_type:
        pool = f"{pool}-on-{machine_type}"
    name = f"gke-{pool}-{number}"
    amounts = {
        "cpu": f"{int(allocatable_cores(row.vcpus) * 1000)}m",
        "memory": f"{int(allocatable_gib(row.memory_gib) * 1024)}Mi",
        "ephemeral-storage": "47Gi",
        "pods": "110",
        **({row.resource: str(row.count)} if row.resource else {}),
    }
    taints = [*_accelerator_taints(row), *_capacity_taints(rung)]
    if compute_class:
        taints.append((f"{GOOGLE}/compute-class", compute_class))
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": MANAGED,
            "labels": {
                **OURS,
                **_machine_labels(name, pool, machine_type or row.machine_types[0]),
                **_accelerator_labels(row),
                **_capacity_labels(rung.capacity),
                **({f"{GOOGLE}/compute-class": compute_class} if compute_class else {}),
            },
        },
        "spec": {"taints": [{"key": key, "value": value, "effect": "NoSchedule"} for key, value in taints]},
        "status": {"allocatable": amounts, "capacity": amounts},
    }


def _machine_labels(name: str, pool: str, machine_type: str) -> dict[str, str]:
    return {
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/os": "linux",
        "kubernetes.io/hostname": name,
        "node.kubernetes.io/instance-type": machine_type,
        "topology.kubernetes.io/region": ZONE[:-2],
        "topology.kubernetes.io/zone": ZONE,
        POOL: pool,
        f"{GOOGLE}/machine-family": machine_type.split("-")[0],
        f"{GOOGLE}/gke-os-distribution": "cos",
    }


def _accelerator_labels(row: Row) -> dict[str, str]:
    """GPU nodes of a pool made by hand have no label with their count; TPU nodes do."""
    match row.kind:
        case "gpu":
            return {
                f"{GOOGLE}/gke-accelerator": row.labels[f"{GOOGLE}/gke-accelerator"],
                f"{GOOGLE}/gke-gpu-driver-version": "latest",
            }
        case "tpu":
            return {
                f"{GOOGLE}/gke-tpu-accelerator": row.labels[f"{GOOGLE}/gke-tpu-accelerator"],
                f"{GOOGLE}/gke-tpu-topology": row.topology,
                f"{GOOGLE}/gke-accelerator-count": str(row.count),
            }
    return {}


def _accelerator_taints(row: Row) -> list[tuple[str, str]]:
    return [(row.resource, "present")] if row.resource else []


def _capacity_labels(capacity: Capacity) -> dict[str, str]:
    match capacity:
        case "spot":
            return {f"{GOOGLE}/gke-spot": "true", f"{GOOGLE}/gke-provisioning": "spot"}
        case "flex-start":
            return {f"{GOOGLE}/gke-flex-start": "true", f"{GOOGLE}/gke-provisioning": "flex-start"}
    return {f"{GOOGLE}/gke-provisioning": "standard"}


def _capacity_taints(rung: Rung) -> list[tuple[str, str]]:
    """What ``suanli nodepool`` puts on a pool, and GKE itself on the spot nodes of a class."""
    return [] if rung.capacity == "on-demand" else [(f"{GOOGLE}/gke-{rung.capacity}", "true")]


def rungs(catalog: Catalog, *capacities: Capacity) -> Iterator[Rung]:
    """Every row that a run can be submitted to, in each capacity that GKE has of it."""
    for row in catalog.values():
        for capacity in capacities or CAPACITIES.values():
            if not row.refused and offered(Rung(row, capacity)):
                yield Rung(row, capacity)


def offered(rung: Rung) -> bool:
    """Whether GKE has such machines; flex-start for GPUs and newer TPUs only (Google Cloud, "About flex-start")."""
    return rung.capacity != "flex-start" or rung.row.kind == "gpu" or (rung.row.kind == "tpu" and rung.row.chip != "v4")


def pools(found: Iterable[Rung], size: int = 1) -> list[dict[str, Any]]:
    """The nodes of some rungs' pools."""
    return [node(rung, number=number) for rung in found for number in range(size)]


def slices(catalog: Catalog) -> list[dict[str, Any]]:
    """One node of each slice of several machines: their chips are the same, their topology is not."""
    return [node(Rung(row)) for row in catalog.values() if row.hosts > 1]


def others(catalog: Catalog, *, roomy: bool = False) -> list[dict[str, Any]]:
    """Nodes with a row's chips in another one of its machine types, on demand.

    Args:
        catalog: the rows.
        roomy: with it, only machines that a smaller row's pods select too: the catalog tells pools apart by their
            machine type, and an N1 machine can have more chips than the row of its size; without it, only the rest.
    """
    first = {(row.chip, row.machine_types[0]): row.count for row in catalog.values()}
    return [
        node(Rung(row), machine_type=machine_type)
        for row in catalog.values()
        if row.hosts == 1
        for machine_type in row.machine_types[1:]
        if (first.get((row.chip, machine_type), row.count) < row.count) == roomy
    ]


def everything(catalog: Catalog) -> list[dict[str, Any]]:
    """A node of every row in each capacity, of every slice of several machines, of other machine types, and CPUs."""
    return [*pools(rungs(catalog)), *slices(catalog), *others(catalog), *default_pool()]


def default_pool(size: int = 2) -> list[dict[str, Any]]:
    """The pool that a cluster is born with: machines without a row of the catalog."""
    amounts = {"cpu": "7910m", "memory": "28000Mi", "ephemeral-storage": "47Gi", "pods": "110"}
    return [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": f"gke-default-pool-{number}",
                "annotations": MANAGED,
                "labels": {
                    **OURS,
                    **_machine_labels(f"gke-default-pool-{number}", "default-pool", "n2-standard-8"),
                    **_capacity_labels("on-demand"),
                },
            },
            "status": {"allocatable": amounts, "capacity": amounts},
        }
        for number in range(size)
    ]
