from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kubernetes_api import FakeKubernetes, thing
from kubernetes_cluster import TRAIN, bad, check_results, furnished

KUEUE, GOOGLE = "kueue.x-k8s.io/v1beta2", "cloud.google.com/v1"


@pytest.fixture
def cluster() -> Iterator[FakeKubernetes]:
    with furnished() as server:
        yield server


def local(**more: Any) -> dict[str, Any]:
    return thing("LocalQueue", "train", api=KUEUE, **{"spec": {"clusterQueue": "team"}, **more})


def cluster_queue(*held: tuple[str, str], status: Any = None, **spec: Any) -> dict[str, Any]:
    flavor = {"name": "l4", "resources": [{"name": name, "nominalQuota": amount} for name, amount in held]}
    groups = [{"coveredResources": [name for name, _ in held], "flavors": [flavor]}]
    body = {"resourceGroups": groups, "namespaceSelector": {}, **spec}
    return thing("ClusterQueue", "team", "", api=KUEUE, spec=body, status=status or {"pendingWorkloads": 2})


HELD = (("cpu", "64"), ("memory", "256Gi"), ("nvidia.com/gpu", "8"))
INACTIVE = {"conditions": [{"type": "Active", "status": "False", "reason": "FlavorNotFound", "message": "no l4"}]}


@pytest.mark.parametrize("versions", [("v1beta2", "v1beta1"), ("v1beta1",)], ids=["new", "old"])
def test_a_queue_that_would_admit_the_pod_is_ok_in_both_versions(
    cluster: FakeKubernetes, tmp_path: Path, versions: tuple[str, ...]
) -> None:
    cluster.groups["kueue.x-k8s.io"] = versions
    cluster.add(local(), cluster_queue(*HELD))
    found = check_results(cluster, tmp_path, queue="train")
    assert bad(found) == []
    assert {one.what: one.found for one in found}["queue train"] == "cluster queue team, 2 waiting"
    assert any(f"/{versions[0]}/" in request for request in cluster.requests)


@pytest.mark.parametrize(
    ("objects", "level", "words"),
    [
        ([local()], "fail", "its cluster queue team does not exist"),
        ([local(), cluster_queue(*HELD[:2])], "fail", "does not cover nvidia.com/gpu, which train asks for"),
        (
            [local(), cluster_queue(*HELD[:2], ("nvidia.com/gpu", "0"))],
            "fail",
            "has what train asks for: l4 has at most 0 nvidia.com/gpu of 1 nvidia.com/gpu",
        ),
        ([local(), cluster_queue(*HELD, status=INACTIVE)], "fail", "its cluster queue team is not active: no l4"),
        ([local(status=INACTIVE), cluster_queue(*HELD)], "fail", "it is not active: no l4"),
        (
            [local(spec={"clusterQueue": "team", "stopPolicy": "Hold"}), cluster_queue(*HELD)],
            "warn",
            "it is stopped (Hold)",
        ),
        ([local(), cluster_queue(*HELD, namespaceSelector=None)], "fail", "does not admit this namespace"),
        (
            [local(), cluster_queue(*HELD, namespaceSelector={"matchLabels": {"team": "speech"}})],
            "fail",
            "does not admit this namespace",
        ),
    ],
)
def test_a_queue_that_would_never_admit_the_pod_is_found(
    cluster: FakeKubernetes, tmp_path: Path, objects: Any, level: str, words: str
) -> None:
    cluster.add(*objects)
    (only,) = bad(check_results(cluster, tmp_path, queue="train"))
    assert only[:2] == (level, "queue train")
    assert words in only[2]


@pytest.mark.parametrize(
    "spec",
    [
        {"namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "In", "values": ["vision"]}]}},
        {"namespaceSelector": {"matchExpressions": [{"key": "other", "operator": "DoesNotExist"}]}},
        {"cohortName": "all", "resources": (*HELD[:2], ("nvidia.com/gpu", "0"))},
    ],
    ids=["selected", "not excluded", "borrowing"],
)
def test_a_queue_that_may_borrow_or_selects_the_namespace_is_ok(
    cluster: FakeKubernetes, tmp_path: Path, spec: dict[str, Any]
) -> None:
    held = spec.pop("resources", HELD)
    cluster.add(local(), cluster_queue(*held, **spec))
    assert bad(check_results(cluster, tmp_path, queue="train")) == []


def flavor(name: str, accelerator: str) -> dict[str, Any]:
    labels = {"cloud.google.com/gke-accelerator": accelerator}
    return thing("ResourceFlavor", name, "", api=KUEUE, spec={"nodeLabels": labels})


@pytest.mark.parametrize(
    ("accelerator", "words"),
    [
        ("nvidia-l4", ""),
        ("nvidia-tesla-t4", "asks for: l4 is for cloud.google.com/gke-accelerator=nvidia-tesla-t4"),
    ],
)
def test_a_flavor_of_other_nodes_admits_nothing(
    cluster: FakeKubernetes, tmp_path: Path, accelerator: str, words: str
) -> None:
    cluster.add(local(), cluster_queue(*HELD), flavor("l4", accelerator))
    found = bad(check_results(cluster, tmp_path, queue="train"))
    assert [one[:2] for one in found] == ([("fail", "queue train")] if words else [])
    assert not words or words in found[0][2]
    cluster.deny("get resourceflavors.kueue.x-k8s.io")
    assert bad(check_results(cluster, tmp_path, queue="train")) == []


def test_a_queue_of_another_name_is_offered(cluster: FakeKubernetes, tmp_path: Path) -> None:
    cluster.add(local())
    advice = next(one.advice for one in check_results(cluster, tmp_path, queue="trian") if one.what == "queue trian")
    assert "did you mean train?" in advice


def test_a_cluster_without_kueue_or_compute_classes_says_so(cluster: FakeKubernetes, tmp_path: Path) -> None:
    cluster.groups.clear()
    found = bad(check_results(cluster, tmp_path, queue="train", compute_class="cheap"))
    assert found == [
        ("fail", "queue train", "the cluster has no Kueue"),
        ("fail", "compute class cheap", "does not exist"),
    ]


def test_a_cluster_queue_that_may_not_be_read_is_a_warning(cluster: FakeKubernetes, tmp_path: Path) -> None:
    cluster.deny("get clusterqueues.kueue.x-k8s.io")
    cluster.add(local(), cluster_queue(*HELD))
    (only,) = bad(check_results(cluster, tmp_path, queue="train"))
    assert only == ("warn", "queue train", "no right to get clusterqueues.kueue.x-k8s.io")


@pytest.mark.parametrize(
    ("name", "spec", "found"),
    [
        ("cheap", {"priorities": [{}, {}], "nodePoolAutoCreation": {"enabled": True}}, "2 priorities, creates node"),
        ("cheap", {"priorities": [{}]}, "1 priorities, does not create node pools itself"),
        ("Accelerator", {}, ""),
    ],
)
def test_the_class_that_a_pod_selects_is_looked_up(
    cluster: FakeKubernetes, tmp_path: Path, name: str, spec: Any, found: str
) -> None:
    cluster.add(thing("ComputeClass", "cheap", "", api=GOOGLE, spec=spec))
    pod = replace(TRAIN, node_selector={"cloud.google.com/compute-class": name})
    lines = {one.what: one for one in check_results(cluster, tmp_path, pod)}
    assert lines["train: nodes"].level == "warn"
    if found:
        assert lines[f"compute class {name}"].level == "ok"
        assert found in lines[f"compute class {name}"].found
    else:
        assert f"compute class {name}" not in lines
