from typing import Any

import pytest
from kubernetes_api import node
from kubernetes_cluster import GPU_TAINT, L4, placed, running, step

from pipelines.cluster.kube import capacity, nodes
from pipelines.hardware import catalog
from pipelines.hardware.pods import quantity

PLAIN = {"node.kubernetes.io/instance-type": "e2-standard-8"}
TAINT = "dedicated=ml:NoSchedule"
MACHINE = "node.kubernetes.io/instance-type"


def place(pod: Any, *there: Any, pods: Any = (), **known: Any) -> tuple[str, str, str]:
    """Level, text and advice of a pod's one result among these nodes."""
    loads = None if pods is None else capacity.loads(pods)
    (result,) = nodes.check_pods([pod], nodes.Inventory(list(there), loads, **known))
    assert result.what == "train: nodes"
    return result.level, result.found, result.advice


GROUP = nodes.Group("gke-c-l4-1234-grp", 0, 4)


def test_a_node_that_fits_is_counted() -> None:
    there = [node("a", L4, GPU_TAINT, gpu="1"), node("b", L4, GPU_TAINT, gpu="1"), node("c", PLAIN)]
    assert place(placed("l4"), *there)[:2] == ("ok", "2 of 3 fit, 2 with room now")
    used = [running("x", "a", gpu="1")]
    assert place(placed("l4"), *there, pods=used)[:2] == ("ok", "2 of 3 fit, 1 with room now")
    assert place(placed("l4"), *there, pods=None)[:2] == ("ok", "2 of 3 fit")


def test_nodes_that_are_all_in_use_are_a_warning() -> None:
    used = [running("x", "a", gpu="1")]
    level, found, advice = place(placed("l4"), node("a", L4, GPU_TAINT, gpu="1"), pods=used)
    assert (level, found) == (
        "warn",
        "1 node has the kind and size, all in use: 1 nvidia.com/gpu wanted, at most 0 nvidia.com/gpu free",
    )
    assert "another pod" in advice
    assert "autoscaler" not in advice
    full = [running(f"p{number}", "a") for number in range(3)]
    level, found, _ = place(placed("l4"), node("a", L4, GPU_TAINT, gpu="1", pods="3"), pods=full)
    assert (level, found) == ("warn", "1 node has the kind and size, all in use: 1 pods wanted, at most 0 pods free")


@pytest.mark.parametrize(
    ("known", "level", "advice"),
    [
        ({}, "fail", "label the nodes"),
        ({"gke": True, "accelerator": "l4"}, "warn", "fine if its pool is scaled to zero, or created by node auto"),
        ({"gke": True, "accelerator": "l4"}, "warn", "suanli nodepool l4 "),
        (
            {"gke": True, "groups": [GROUP]},
            "warn",
            "fine if its pool is scaled to zero: gke-c-l4-1234-grp (0 of 4)",
        ),
        ({"gke": True, "groups": [nodes.Group("x", 1, 4)]}, "warn", "no pool is scaled to zero"),
        ({"gke": True, "groups": [nodes.Group("x", 0, 0)]}, "warn", "no pool is scaled to zero"),
        ({"groups": [GROUP]}, "warn", "gke-c-l4-1234-grp"),
        ({"gke": True, "autopilot": True}, "warn", "Autopilot creates the node"),
    ],
)
@pytest.mark.parametrize("there", [[], [node("c", PLAIN)]], ids=["empty", "others"])
def test_no_node_of_the_kind_is_an_error_only_where_none_can_come(
    there: list[Any], known: dict[str, Any], level: str, advice: str
) -> None:
    found = place(placed("l4"), *there, **known)
    assert found[0] == level
    assert advice in found[2]
    if not there:
        assert found[1] == "there are no nodes"


def test_a_compute_class_makes_its_nodes() -> None:
    pod = placed("l4", node_selector={"cloud.google.com/compute-class": "cheap"})
    level, _, advice = place(pod, node("c", PLAIN))
    assert (level, advice) == ("warn", "the compute class cheap creates the node when the pod asks for it")


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (
            {**L4, "node.kubernetes.io/instance-type": "g2-standard-24"},
            (
                "no node of 2 has the labels; a comes nearest: has node.kubernetes.io/instance-type=g2-standard-24, "
                "not g2-standard-8"
            ),
        ),
        (
            {"cloud.google.com/gke-accelerator": "nvidia-l4"},
            "no node of 2 has the labels; a comes nearest: lacks node.kubernetes.io/instance-type=g2-standard-8",
        ),
        (
            {"cloud.google.com/gke-accelerator": "nvidia-tesla-t4"},
            (
                "no node of 2 has cloud.google.com/gke-accelerator=nvidia-l4 (there is nvidia-tesla-t4), nor "
                "node.kubernetes.io/instance-type=g2-standard-8 (there is e2-standard-8)"
            ),
        ),
    ],
    ids=["machine", "missing label", "other chip"],
)
def test_the_nearest_node_and_what_it_lacks_are_named(labels: dict[str, str], words: str) -> None:
    level, found, advice = place(placed("l4"), node("a", labels, GPU_TAINT, gpu="1"), node("c", PLAIN))
    assert (level, found) == ("fail", words)
    assert "accelerators.toml" in advice


def test_an_affinity_that_no_node_meets_is_named() -> None:
    away = [{"key": "cloud.google.com/gke-accelerator", "operator": "DoesNotExist"}]
    level, found, _ = place(step(affinity=away), node("a", L4))
    assert level == "fail"
    lacks = "has cloud.google.com/gke-accelerator=nvidia-l4, which must be DoesNotExist"
    assert found == f"no node of 1 has the labels; a comes nearest: {lacks}"


def test_a_taint_that_the_pod_does_not_tolerate_is_named() -> None:
    level, found, advice = place(placed("l4"), node("a", L4, (*GPU_TAINT, TAINT), gpu="1"), gke=True)
    assert level == "fail"
    assert found == f"1 node has the labels, each with a taint that the pod does not tolerate: {TAINT}"
    assert "accelerators.toml" in advice


def test_a_cordoned_node_is_a_warning() -> None:
    cordoned = ("node.kubernetes.io/unschedulable=:NoSchedule",)
    level, _, advice = place(placed("l4"), node("a", L4, cordoned, gpu="1"))
    assert (level, advice) == ("warn", "it waits until a node is ready again")


def test_gke_tolerates_the_taint_of_a_resource_that_is_asked_for() -> None:
    bare = placed("l4", tolerations=[])
    there = node("a", L4, GPU_TAINT, gpu="1")
    assert place(bare, there, gke=True)[0] == "ok"
    assert place(bare, there, gke=False)[0] == "fail"


def test_a_machine_that_is_too_small_is_named_with_what_is_wanted() -> None:
    there = node("a", L4, GPU_TAINT, gpu="1", cpu="3920m", memory="13Gi")
    level, found, advice = place(placed("l4"), there, gke=True)
    wanted = catalog.load()["l4"].requests
    assert level == "fail"
    assert found.startswith("1 node has the labels, none is large enough (g2-standard-8): ")
    assert f"{float(quantity(wanted[0])):.4g} cpu wanted, at most 3.92 cpu for pods" in found
    assert f"{wanted[1]} memory wanted, at most 13Gi memory for pods" in found
    assert "machine_type" in advice


def test_a_pool_of_another_machine_type_is_told_how_to_name_it() -> None:
    small = {**L4, "node.kubernetes.io/instance-type": "g2-standard-4"}
    level, found, advice = place(placed("l4"), node("a", small, GPU_TAINT, gpu="1"), gke=True)
    assert level == "warn" and "has node.kubernetes.io/instance-type=g2-standard-4, not g2-standard-8" in found
    assert advice.startswith("if a is the pool, give its machine_type to the row in accelerators.toml")


def test_daemons_leave_less_than_the_node_says() -> None:
    there = node("a", PLAIN, cpu="4")
    pod = step(requests={"cpu": "3900m"})
    daemons = [running("logging", "a", owner="DaemonSet", cpu="200m")]
    assert place(pod, there)[0] == "ok"
    level, found, _ = place(pod, there, pods=daemons)
    assert level == "fail"
    assert "3.9 cpu wanted, at most 3.8 cpu for pods" in found


def test_too_few_chips_on_each_node_are_named() -> None:
    pod = placed("l4", limits={"nvidia.com/gpu": "2"})
    _, found, _ = place(pod, node("a", L4, GPU_TAINT, gpu="1"), node("b", L4, GPU_TAINT, gpu="1"))
    assert "2 nvidia.com/gpu wanted, at most 1 nvidia.com/gpu for pods" in found


def test_a_node_without_its_driver_is_told_from_one_with_too_few_chips() -> None:
    level, _, advice = place(placed("l4"), node("a", L4, GPU_TAINT))
    assert (level, advice) == ("fail", "the node offers no nvidia.com/gpu: is its driver or device plugin there?")


def test_pods_of_one_kind_share_a_line() -> None:
    away = [{"key": "cloud.google.com/gke-accelerator", "operator": "DoesNotExist"}]
    pods = [step("prepare", affinity=away), placed("l4"), step("export", affinity=away)]
    cluster = nodes.Inventory([node("a", L4, GPU_TAINT, gpu="1"), node("c", PLAIN)], {})
    assert [(found.what, found.level) for found in nodes.check_pods(pods, cluster)] == [
        ("prepare, export: nodes", "ok"),
        ("train: nodes", "ok"),
    ]


@pytest.mark.parametrize(
    ("selector", "limits", "words"),
    [
        ({}, {"nvidia.com/gpu": "1"}, "a GPU needs a selector"),
        ({"cloud.google.com/gke-spot": "true"}, {"nvidia.com/gpu": "1"}, "a GPU needs a selector"),
        ({"cloud.google.com/gke-tpu-accelerator": "tpu-v5p-slice"}, {"google.com/tpu": "4"}, "a TPU needs selectors"),
        ({"cloud.google.com/gke-nodepool": "l4"}, {}, "it forbids the selector cloud.google.com/gke-nodepool"),
    ],
)
def test_what_autopilot_refuses_is_refused_first(selector: Any, limits: Any, words: str) -> None:
    (result,) = nodes.autopilot_rules(step(node_selector=selector, limits=limits))
    assert result.level == "fail"
    assert words in result.found


@pytest.mark.parametrize("name", ["l4", "l4x2:spot", "v5e-4", "cpu-8"])
def test_autopilot_takes_the_catalogs_pods(name: str) -> None:
    assert list(nodes.autopilot_rules(placed(name, autopilot=True))) == []
    in_class = step(node_selector={"cloud.google.com/compute-class": "cheap"}, limits={"nvidia.com/gpu": "1"})
    assert list(nodes.autopilot_rules(in_class)) == []


def test_autopilot_is_known_by_its_nodes_names() -> None:
    for names, expected in ((["gk3-team-pool-1-abc"], True), (["gke-team-pool-1-abc"], False), ([], False)):
        found = nodes.inventory({"nodes": [node(name) for name in names]}, gke=True, autopilot=False)
        assert found.autopilot is expected


YAML_STATUS = """\
time: "2026-07-26 10:00:00 +0000 UTC"
autoscalerStatus: Running
nodeGroups:
- name: https://www.googleapis.com/compute/v1/projects/p/zones/z/instanceGroups/gke-c-l4-1234-grp
  health: {status: Healthy, minSize: 0, maxSize: 4}
- name: gke-c-default-99-grp
  health: {status: Healthy, cloudProviderTarget: 2, minSize: 1, maxSize: 5}
"""
TEXT_STATUS = """\
Cluster-autoscaler status at 2023-11-24 04:28:19:
Cluster-wide:
  Health:      Healthy (ready=2 unready=0 notStarted=0 longNotStarted=0 registered=2 longUnregistered=0)
  ScaleUp:     NoActivity (ready=2 registered=2)

NodeGroups:
  Name:        https://www.googleapis.com/compute/v1/projects/p/zones/z/instanceGroups/gke-c-l4-1234-grp
  Health:      Healthy (ready=0 unready=0 registered=0 longUnregistered=0 cloudProviderTarget=0 (minSize=0, maxSize=4))
               LastProbeTime:      2023-11-24 04:28:19
  ScaleUp:     NoActivity (ready=0 cloudProviderTarget=0)

  Name:        gke-c-default-99-grp
  Health:      Healthy (ready=2 unready=0 registered=2 longUnregistered=0 cloudProviderTarget=2 (minSize=1, maxSize=5))
  ScaleUp:     NoActivity (ready=2 cloudProviderTarget=2)
"""


@pytest.mark.parametrize("status", [YAML_STATUS, TEXT_STATUS], ids=["yaml", "text"])
def test_the_autoscalers_groups_are_read_in_both_of_its_forms(status: str) -> None:
    assert nodes.parse_groups(status) == [GROUP, nodes.Group("gke-c-default-99-grp", 2, 5)]


@pytest.mark.parametrize("status", ["", "Initializing", "nodeGroups: 3", "a: [", "nodeGroups: [{health: {}}]"])
def test_a_status_of_another_form_names_no_groups(status: str) -> None:
    assert nodes.parse_groups(status) == []
