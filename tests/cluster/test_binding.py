"""For every row: the real scheduler binds its pod to its own pool, and to no other.

Each pod asks for nearly all of its machine and each pool has one node, so that a second copy of the same pod must stay
pending: the scheduler has then looked at every other node of the cluster and taken none.
"""

from typing import Any

import gke
import pytest
import steps
from api import eventually
from binding import nodes_of, settled
from clusters import Cluster
from steps import CATALOG

from pipelines.cluster.kube import capacity as preflight
from pipelines.hardware import compute_class, manifests
from pipelines.hardware.catalog.row import SPOT_LABEL
from pipelines.hardware.catalog.shapes import GPU_LABEL, TPU_LABEL
from pipelines.hardware.ladder import CAPACITIES, Capacity, Rung
from pipelines.hardware.placement import QUEUE_LABEL
from pipelines.hardware.pods import Pod
from pipelines.hardware.variant import Variant

Nodes = list[dict[str, Any]]
SINGLE = [row for row in CATALOG.values() if not row.refused]
ACCELERATED = [row for row in SINGLE if row.resource]
GATE = "kueue.x-k8s.io/admission"


def key(rung: Rung) -> str:
    return str(rung).replace(":", "-")


def own(rung: Rung, compute_class: str = "") -> str:
    return str(gke.node(rung, compute_class=compute_class)["metadata"]["name"])


@pytest.mark.parametrize("capacity", CAPACITIES.values())
def test_a_rows_pod_goes_to_its_own_pool_and_to_no_other(
    capacity: Capacity, cluster: Cluster, all_pools: Nodes, empty: str
) -> None:
    rungs = list(gke.rungs(CATALOG, capacity))
    wanted = {key(rung): steps.train(rung) for rung in rungs}
    found = settled(cluster.api, empty, wanted, copies=2)
    assert nodes_of(found) == {key(rung): ["-", own(rung)] for rung in rungs}


@pytest.mark.parametrize("capacity", CAPACITIES.values())
def test_the_preflight_foretells_the_scheduler(capacity: Capacity, cluster: Cluster, all_pools: Nodes) -> None:
    nodes = cluster.nodes()
    for rung in gke.rungs(CATALOG, capacity):
        pod = steps.train(rung)
        fits = [preflight.fit(pod, node, None) for node in nodes]
        named = [fit.node for fit in fits if not (fit.labels or fit.taints or fit.short)]
        assert named == [own(rung)]


def test_a_pod_that_passed_kueue_goes_to_its_flavors_pool(cluster: Cluster, all_pools: Nodes, empty: str) -> None:
    """Kueue's webhook adds the gate; its admission adds the flavor's labels and tolerations and takes the gate away."""
    rungs = list(gke.rungs(CATALOG, "on-demand", "spot"))
    queued = steps.train(*rungs[:1], variant=Variant(queue="train"))
    assert queued.labels == {QUEUE_LABEL: "train"}
    made = []
    for rung in rungs:
        # Submitted on demand: the queue decides about the capacity.
        pod = steps.train(Rung(rung.row), variant=Variant(queue="train"))
        for number in range(2):
            each = steps.manifest(pod, empty, key(rung), number)
            each["spec"]["schedulingGates"] = [{"name": GATE}]
            made.append((rung, each))
    cluster.api.create(*(each for _, each in made))
    held = cluster.pods(empty)
    assert len(held) == len(made) and not steps.bound(held)
    admitted = []
    for rung, each in made:
        flavor = manifests.flavor(rung)["spec"]
        path = f"/api/v1/namespaces/{empty}/pods/{each['metadata']['name']}"
        admitted.append((path, _admitted(each, flavor)))
    for path, spec in admitted:
        cluster.api.merge(path, {"spec": spec})
    found = decided(cluster, empty, len(made))
    assert nodes_of(found) == {key(rung): ["-", own(rung)] for rung in rungs}


def _admitted(pod: dict[str, Any], flavor: dict[str, Any]) -> dict[str, Any]:
    """What Kueue changes of a pod: kubernetes-sigs/kueue, pkg/podset (Merge) at v0.19.2."""
    tolerations = [*pod["spec"]["tolerations"], *flavor.get("tolerations", [])]
    return {
        "nodeSelector": {**pod["spec"]["nodeSelector"], **flavor["nodeLabels"]},
        "tolerations": [each for index, each in enumerate(tolerations) if each not in tolerations[:index]],
        "schedulingGates": None,
    }


def decided(cluster: Cluster, namespace: str, count: int) -> dict[str, dict[str, Any]]:
    def all_decided(found: list[dict[str, Any]]) -> bool:
        gated = [message for message in steps.refused(found).values() if "gate" in message.lower()]
        return not gated and len(steps.bound(found)) + len(steps.refused(found)) == count

    return {each["metadata"]["name"]: each for each in eventually(lambda: cluster.pods(namespace), all_decided)}


@pytest.fixture(scope="module")
def classes() -> dict[str, list[Rung]]:
    """Class -> its rungs, for every row: spot, then flex-start where there is, then on demand."""
    found = {}
    for row in SINGLE:
        rungs = [rung for rung in (Rung(row, "spot"), Rung(row, "flex-start"), Rung(row)) if gke.offered(rung)]
        found[compute_class.name_of(rungs)] = rungs
    return found


def test_a_pod_of_a_compute_class_goes_to_the_classes_nodes_alone(
    cluster: Cluster, empty: str, classes: dict[str, list[Rung]]
) -> None:
    of_classes = [gke.node(rung, compute_class=name) for name, rungs in classes.items() for rung in rungs]
    cluster.furnish([*of_classes, *gke.pools(gke.rungs(CATALOG)), *gke.default_pool()])
    wanted = {name: steps.train(*rungs, compute_class=name) for name, rungs in classes.items()}
    found = nodes_of(settled(cluster.api, empty, wanted, copies=4))
    for name, rungs in classes.items():
        theirs = sorted(own(rung, name) for rung in rungs)
        assert found[name] == ["-"] * (4 - len(rungs)) + theirs


def test_a_pod_without_the_class_stays_off_its_nodes(
    cluster: Cluster, empty: str, classes: dict[str, list[Rung]]
) -> None:
    cluster.furnish([gke.node(rung, compute_class=name) for name, rungs in classes.items() for rung in rungs])
    found = settled(cluster.api, empty, {key(rung): steps.train(rung) for rung in gke.rungs(CATALOG)})
    assert steps.bound(found.values()) == {}


def test_on_an_n1_machine_a_smaller_row_can_take_one_chip_of_several(cluster: Cluster, empty: str) -> None:
    """Known: the labels of such a pool are those of the smaller row's, but for a count that not every node has."""
    roomy = gke.others(CATALOG, roomy=True)
    cluster.furnish(roomy)
    found = settled(cluster.api, empty, {key(rung): steps.train(rung) for rung in gke.rungs(CATALOG, "on-demand")})
    on = {run: nodes for run, nodes in nodes_of(found).items() if nodes != ["-"]}
    assert on == {
        "t4": ["gke-t4x2-on-n1-standard-8-0"],
        "t4x2": ["gke-t4x4-on-n1-standard-16-0"],
        "v100": ["gke-v100x2-on-n1-standard-8-0"],
        "v100x2": ["gke-v100x4-on-n1-standard-16-0"],
    }


# --- steps without accelerators --------------------------------------------------------------------------------------


def plain(count: int) -> dict[str, Pod]:
    found = steps.of([Rung(CATALOG["l4"])])
    light = {step: pod for step, pod in found.items() if step != "train"}
    assert set(light) >= {"prepare", "evaluate", "export"}
    return {f"{step}-{number}": pod for step, pod in light.items() for number in range(count)}


def test_steps_without_accelerators_never_lie_on_accelerator_nodes(
    cluster: Cluster, all_pools: Nodes, empty: str
) -> None:
    found = settled(cluster.api, empty, plain(20))
    labels = {each["metadata"]["name"]: each["metadata"]["labels"] for each in cluster.nodes()}
    on = {node for nodes in nodes_of(found).values() for node in nodes}
    assert on and "-" not in on
    assert {node for node in on if {GPU_LABEL, TPU_LABEL, SPOT_LABEL} & set(labels[node])} == set()


def test_steps_without_accelerators_wait_rather_than_take_accelerator_nodes_without_taints(
    cluster: Cluster, empty: str
) -> None:
    bare = [replaced(node) for node in gke.pools(gke.rungs(CATALOG, "on-demand")) if node["spec"]["taints"]]
    cluster.furnish(bare)
    found = settled(cluster.api, empty, plain(1))
    assert steps.bound(found.values()) == {}
    assert all("didn't match Pod's node affinity" in reason for reason in steps.refused(found.values()).values())


def replaced(node: dict[str, Any]) -> dict[str, Any]:
    return {**node, "spec": {"taints": []}}
