from decimal import Decimal
from typing import Any

import pytest
from kubernetes_api import node
from kubernetes_cluster import placed, running, step

from pipelines.cluster.kube import capacity
from pipelines.hardware import catalog
from pipelines.hardware.catalog.row import allocatable_cores, allocatable_gib

TAINT = "dedicated=ml:NoSchedule"


@pytest.mark.parametrize(
    ("toleration", "tolerated"),
    [
        ({"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"}, True),
        ({"key": "dedicated", "operator": "Exists"}, True),
        ({"operator": "Exists"}, True),
        ({"key": "dedicated", "value": "ml"}, True),
        ({"key": "dedicated", "operator": "Equal", "value": "ml", "effect": "NoSchedule"}, True),
        ({"key": "dedicated", "value": "other"}, False),
        ({"key": "dedicated"}, False),
        ({"key": "dedicated", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "else", "operator": "Exists"}, False),
    ],
)
def test_a_toleration_answers_the_taints_that_kubernetes_says_it_does(
    toleration: dict[str, Any], tolerated: bool
) -> None:
    fit = capacity.fit(step(tolerations=[toleration]), node("one", taints=(TAINT,)), None)
    assert fit.taints == (() if tolerated else (TAINT,))


def test_a_preference_against_a_node_does_not_keep_a_pod_off() -> None:
    assert capacity.fit(step(), node("one", taints=("a=b:PreferNoSchedule",)), None).taints == ()


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        ({"key": "a", "operator": "In", "values": ["5", "x"]}, True),
        ({"key": "a", "operator": "In", "values": ["x"]}, False),
        ({"key": "a", "operator": "NotIn", "values": ["x"]}, True),
        ({"key": "b", "operator": "NotIn", "values": ["x"]}, True),
        ({"key": "a", "operator": "Exists"}, True),
        ({"key": "b", "operator": "Exists"}, False),
        ({"key": "b", "operator": "DoesNotExist"}, True),
        ({"key": "a", "operator": "DoesNotExist"}, False),
        ({"key": "a", "operator": "Gt", "values": ["4"]}, True),
        ({"key": "a", "operator": "Lt", "values": ["4"]}, False),
        ({"key": "b", "operator": "Gt", "values": ["4"]}, False),
    ],
)
def test_an_affinity_holds_where_kubernetes_says_it_does(rule: dict[str, Any], holds: bool) -> None:
    assert (capacity.fit(step(affinity=[rule]), node("one", {"a": "5"}), None).labels == ()) is holds


def test_what_pods_asked_for_is_summed_by_node_with_the_daemons_apart() -> None:
    sidecar = {"name": "proxy", "restartPolicy": "Always", "resources": {"requests": {"cpu": "100m"}}}
    init = {"name": "init", "resources": {"requests": {"cpu": "2"}}}
    large = running("large", "one", cpu="3")
    large["spec"]["initContainers"] = [init, sidecar]
    pods = [
        running("logging", "one", owner="DaemonSet", cpu="200m"),
        running("proxy", "one", owner="Node", cpu="100m"),
        large,
        running("limits", "two", gpu="1"),
        running("over", "two", phase="Succeeded", cpu="4"),
        {"metadata": {"name": "waiting"}, "spec": {"containers": []}, "status": {"phase": "Pending"}},
    ]
    loads = capacity.loads(pods)
    assert set(loads) == {"one", "two"}
    assert loads["one"].daemons == {"cpu": Decimal("0.3"), "pods": 2}
    assert loads["one"].total == {"cpu": Decimal("3.4"), "pods": 3}
    assert loads["two"].total == {"nvidia.com/gpu": 1, "pods": 1}


@pytest.mark.parametrize("name", ["l4", "l4x2", "t4", "a100-40g", "h100x8", "v5e-4", "v5e-8", "v6e-8", "cpu-8"])
def test_a_rows_pod_fits_the_node_that_its_machine_makes(name: str) -> None:
    row = catalog.load()[name]
    pod = placed(name)
    cores, memory = row.vcpus, row.memory_gib

    amounts = {"cpu": f"{int(allocatable_cores(cores) * 1000)}m", "memory": f"{int(allocatable_gib(memory) * 1024)}Mi"}
    if row.resource:
        amounts[row.resource] = str(row.count)
    taints = tuple(f"{taint.key}={taint.value}:{taint.effect}" for taint in row.taints)
    fit = capacity.fit(pod, node("one", row.labels, taints, **amounts), None)
    assert (fit.labels, fit.taints, fit.short) == ((), (), {})
