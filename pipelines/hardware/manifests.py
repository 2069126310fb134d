"""The files in ``manifests/`` that follow from the catalog: Kueue's flavors and quotas, and GKE's compute classes.

``python -m pipelines.hardware.manifests`` writes the files. Kueue's fields:
kubernetes-sigs/kueue, apis/kueue/v1beta2 at v0.19.2.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from pipelines.hardware import compute_class
from pipelines.hardware.catalog import Catalog, Row, find, load
from pipelines.hardware.catalog.row import RESOURCES, SPOT_LABEL, Taint
from pipelines.hardware.ladder import Capacity, Rung

ROOT = Path(__file__).parents[2] / "manifests"
# The rows with flavors and a class. Kueue allows 64 flavors in a group; a row has two.
USUAL = ("cpu-16", "t4", "l4", "l4x4", "a100-40g", "h100x8", "v5e-4", "v6e-8")
# Machines of each row that may be in use at once: spot, and on demand.
SPOT_MACHINES, MACHINES = 4, 2
FLAVORS, CLASSES = "components/kueue/flavors", "components/compute-classes/classes"
CLUSTER_QUEUE = "components/kueue/cluster-queue.yaml"
QUEUE = "training"
HEAD = "# Written from the catalog by python -m pipelines.hardware.manifests: edit pipelines/hardware, not this file.\n"
KUEUE = "kueue.x-k8s.io/v1beta2"
LABELS: Mapping[str, str] = {"app.kubernetes.io/name": "suanli", "app.kubernetes.io/component": "queue"}


def files(catalog: Catalog) -> dict[str, str]:
    """Path below ``manifests/`` -> text of every file.

    Raises:
        StepError: the catalog lacks a usual row, or GKE cannot make its nodes.
    """
    rows = [find(catalog, name) for name in USUAL]
    rungs = [rung for row in rows for rung in (Rung(row, "spot"), Rung(row))]
    flavors = {f"{flavor_name(rung)}.yaml": flavor(rung) for rung in rungs}
    classes = {f"{row.name}.yaml": class_of(row) for row in rows}
    objects = {**_folder(FLAVORS, flavors), **_folder(CLASSES, classes), CLUSTER_QUEUE: cluster_queue(rungs)}
    return {path: HEAD + yaml.safe_dump(value, sort_keys=False) for path, value in objects.items()}


def write(root: Path, catalog: Catalog) -> list[Path]:
    """Write the files, remove those of rows that are no longer usual, and return the written paths."""
    texts = files(catalog)
    for folder in (FLAVORS, CLASSES):
        for old in (root / folder).glob("*.yaml"):
            if str(old.relative_to(root)) not in texts:
                old.unlink()
    for path, text in texts.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return [root / path for path in texts]


def flavor_name(rung: Rung) -> str:
    return str(rung).replace(":", "-")


def flavor(rung: Rung) -> dict[str, Any]:
    """Kueue's object for the nodes of a rung: it adds these labels and tolerations to pods that it admits there."""
    taints = (*rung.row.taints, *((Taint(key=SPOT_LABEL, value="true"),) if rung.spot else ()))
    tolerations = [taint.toleration() for taint in taints]
    return {
        **_head("ResourceFlavor", flavor_name(rung)),
        "spec": {
            "nodeLabels": {**rung.row.labels, **({SPOT_LABEL: "true"} if rung.spot else {})},
            **({"tolerations": tolerations} if tolerations else {}),
        },
    }


def cluster_queue(rungs: Iterable[Rung]) -> dict[str, Any]:
    """One group with every flavor: a resource can be in one group only, and all flavors have CPU and memory."""
    resources = ["cpu", "memory", *(name for name in RESOURCES.values() if name)]
    return {
        **_head("ClusterQueue", QUEUE),
        "spec": {
            # Whoever may create local queues decides which namespaces use it.
            "namespaceSelector": {},
            "flavorFungibility": {"whenCanBorrow": "TryNextFlavor", "whenCanPreempt": "TryNextFlavor"},
            # Kueue deletes the pods that it preempts, which Kubeflow sees as a failed step.
            "preemption": {"withinClusterQueue": "Never", "reclaimWithinCohort": "Never"},
            "resourceGroups": [{"coveredResources": resources, "flavors": [_quota(rung, resources) for rung in rungs]}],
        },
    }


def class_of(row: Row) -> dict[str, Any]:
    """Spot, then flex-start if GKE has it, then on demand; named after the ladder that a user would write."""
    capacities: tuple[Capacity, ...] = (
        ("spot", "on-demand") if row.kind == "cpu" else ("spot", "flex-start", "on-demand")
    )
    rungs = [Rung(row, capacity) for capacity in capacities]
    return compute_class.manifest(compute_class.name_of(rungs), rungs)


def _quota(rung: Rung, resources: Iterable[str]) -> dict[str, Any]:
    row, machines = rung.row, SPOT_MACHINES if rung.spot else MACHINES
    most = {
        "cpu": machines * row.vcpus,
        "memory": f"{int(machines * row.memory_gib)}Gi",
        row.resource: machines * row.count,
    }
    return {
        "name": flavor_name(rung),
        "resources": [{"name": name, "nominalQuota": most.get(name, 0)} for name in resources],
    }


def _head(kind: str, name: str) -> dict[str, Any]:
    return {"apiVersion": KUEUE, "kind": kind, "metadata": {"name": name, "labels": dict(LABELS)}}


def _folder(folder: str, objects: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The objects' files, and the kustomization that lists them."""
    kustomization = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": [*objects]}
    return {f"{folder}/{name}": value for name, value in {"kustomization.yaml": kustomization, **objects}.items()}


if __name__ == "__main__":
    for written in write(ROOT, load(ROOT.parent)):
        print(written.relative_to(ROOT.parent))
