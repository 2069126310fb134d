"""Pods that no node may take: the real scheduler leaves them, and a user is told why in words."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gke
import pytest
import steps
from api import eventually
from binding import settled
from clusters import Cluster
from steps import CATALOG
from wrong_pods import other_topology, twice_the_chips, without_toleration

from pipelines.cluster.kube import nodes as places
from pipelines.cluster.kube.access import Access, connect
from pipelines.cluster.kube.stuck import stuck
from pipelines.compile.check_result import CheckResult
from pipelines.hardware.ladder import Rung
from pipelines.hardware.pods import Pod

Nodes = list[dict[str, Any]]
ACCELERATED = [row.name for row in CATALOG.values() if not row.refused and row.resource]
TPUS = [row.name for row in CATALOG.values() if not row.refused and row.kind == "tpu"]
SPOT = "cloud.google.com/gke-spot"


@pytest.fixture(scope="module")
def access(cluster: Cluster) -> Access:
    found = connect(environ={"KUBECONFIG": str(cluster.api.kubeconfig)})
    assert found
    return found


def too_large(pod: Pod) -> Pod:
    return replace(pod, requests={**pod.requests, "memory": "30000Gi"})


# What is wrong, with which rows, and what the user reads: of the step that waits, and before it was submitted.
WRONG: dict[str, tuple[Callable[[Pod], Pod], list[str], str, str]] = {
    "no toleration": (
        without_toleration,
        ACCELERATED,
        "with a taint that the pod does not tolerate",
        "each with a taint that the pod does not tolerate",
    ),
    "twice the chips": (twice_the_chips, ACCELERATED, "with too little {resource} free", "{resource} wanted, at most"),
    "another topology": (other_topology, TPUS, "without the labels that the pod selects", "comes nearest"),
    "too large": (too_large, ACCELERATED, "with too little memory free", "memory wanted, at most"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_pod_stays_pending_and_the_reason_is_told(
    wrong: str, cluster: Cluster, all_pools: Nodes, empty: str, access: Access
) -> None:
    change, names, waiting, before = WRONG[wrong]
    wanted = {name: change(steps.train(Rung(CATALOG[name]))) for name in names}
    assert steps.bound(settled(cluster.api, empty, wanted).values()) == {}
    nodes = cluster.nodes()
    for name, pod in wanted.items():
        resource = CATALOG[name].resource
        told = stuck(access, empty, name, [pod])
        assert list(told) == ["train"]
        assert waiting.format(resource=resource) in told["train"], told
        assert told["train"].startswith(f"no node of {len(nodes)} fits: ")
        result = foretold(pod, nodes)
        assert result.level == "fail" and before.format(resource=resource) in result.found, result


def foretold(pod: Pod, nodes: Nodes) -> CheckResult:
    (result,) = places.check_pods([pod], places.Inventory(nodes=nodes))
    return result


def test_a_row_on_a_cluster_without_it_stays_pending(cluster: Cluster, empty: str, access: Access) -> None:
    cluster.furnish(
        [*gke.pools(gke.rungs({name: row for name, row in CATALOG.items() if row.kind == "cpu"}, "on-demand"))]
    )
    wanted = {name: steps.train(Rung(CATALOG[name])) for name in ACCELERATED}
    assert steps.bound(settled(cluster.api, empty, wanted).values()) == {}
    nodes = cluster.nodes()
    for name, pod in wanted.items():
        told = stuck(access, empty, name, [pod])["train"]
        assert f"{len(nodes)} without the labels that the pod selects" in told
        assert foretold(pod, nodes).level == "fail"


def test_on_a_cluster_without_nodes_the_user_is_told_so(cluster: Cluster, empty: str, access: Access) -> None:
    cluster.furnish([])
    if cluster.api.items("/api/v1/nodes"):
        pytest.skip("this cluster has nodes of its own")
    settled(cluster.api, empty, {"l4": steps.train(Rung(CATALOG["l4"]))})
    assert stuck(access, empty, "l4")["train"].startswith("the cluster has no node")


def test_a_pod_that_waits_is_let_in_when_its_pool_grows(cluster: Cluster, empty: str, access: Access) -> None:
    rung = Rung(CATALOG["l4"], "spot")
    cluster.furnish(gke.default_pool())
    settled(cluster.api, empty, {"l4": steps.train(rung)})
    assert stuck(access, empty, "l4")
    cluster.api.create(gke.node(rung))
    found = eventually(lambda: steps.bound(cluster.pods(empty)), bool)
    assert list(found.values()) == ["gke-l4-spot-0"] and stuck(access, empty, "l4") == {}


def test_a_pod_without_its_limit_is_bound_and_the_loss_is_told(
    cluster: Cluster, all_pools: Nodes, empty: str, access: Access
) -> None:
    """What servers before 2.5 made of such a pipeline: the selector and the toleration arrive, the limit does not."""
    pod = steps.train(Rung(CATALOG["l4"]))
    settled(cluster.api, empty, {"l4": replace(pod, limits={})})
    told = stuck(access, empty, "l4", [pod])["train"]
    assert "gke-l4-0 with none of the 1 nvidia.com/gpu" in told


def test_an_on_demand_pod_is_kept_off_spot_machines_by_their_taint_alone(cluster: Cluster, empty: str) -> None:
    """A selector cannot say "not spot": pools that are made without the taint take on-demand pods too."""
    rung = Rung(CATALOG["l4"], "spot")
    tainted = gke.node(rung)
    spec = {"taints": [taint for taint in tainted["spec"]["taints"] if taint["key"] != SPOT]}
    on_demand = {"l4": steps.train(Rung(rung.row))}
    cluster.furnish([tainted])
    assert steps.bound(settled(cluster.api, empty, on_demand).values()) == {}
    cluster.clear(empty)
    cluster.furnish([{**tainted, "spec": spec}])
    assert list(steps.bound(settled(cluster.api, empty, on_demand).values()).values()) == ["gke-l4-spot-0"]
