from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes_api import FakeKubernetes, thing
from kubernetes_cluster import bad, check_results, furnished, step


@pytest.fixture
def cluster() -> Iterator[FakeKubernetes]:
    with furnished() as server:
        yield server


def quota(hard: dict[str, str], used: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    return thing("ResourceQuota", "team", spec={"hard": hard, **spec}, status={"hard": hard, "used": used or {}})


@pytest.mark.parametrize(
    ("hard", "used", "level", "words"),
    [
        ({"requests.nvidia.com/gpu": "4"}, {"requests.nvidia.com/gpu": "3"}, "", ""),
        ({"requests.nvidia.com/gpu": "4"}, {"requests.nvidia.com/gpu": "4"}, "warn", "0 nvidia.com/gpu left of 4"),
        ({"requests.nvidia.com/gpu": "0"}, {}, "fail", "1 nvidia.com/gpu wanted, 0 nvidia.com/gpu left of 0"),
        ({"requests.cpu": "4"}, {}, "fail", "requests.cpu: 6 cpu wanted, 4 cpu left of 4 cpu"),
        ({"cpu": "8"}, {"cpu": "3500m"}, "warn", "cpu: 6 cpu wanted, 4.5 cpu left of 8 cpu"),
        ({"requests.memory": "64Gi"}, {"requests.memory": "32Gi"}, "", ""),
        ({"limits.cpu": "64"}, {}, "fail", "it requires a cpu limit, and the pod has none"),
        ({"pods": "10"}, {"pods": "10"}, "warn", "pods: 1 pods wanted, 0 pods left of 10 pods"),
        ({"count/pods": "10"}, {"count/pods": "9"}, "", ""),
        ({"requests.google.com/tpu": "0"}, {}, "", ""),
        ({"persistentvolumeclaims": "0"}, {}, "", ""),
        ({"requests.google.com/tpu": "4"}, {"requests.google.com/tpu": "8"}, "", ""),
    ],
)
def test_a_quota_is_held_against_the_pod(
    cluster: FakeKubernetes, tmp_path: Path, hard: Any, used: Any, level: str, words: str
) -> None:
    cluster.add(quota(hard, used))
    found = bad(check_results(cluster, tmp_path))
    assert [one[:2] for one in found] == ([(level, "train: quota team")] if level else [])
    assert not level or words in found[0][2]


def test_a_quota_with_scopes_is_only_a_warning(cluster: FakeKubernetes, tmp_path: Path) -> None:
    cluster.add(quota({"requests.cpu": "1"}, scopes=["BestEffort"]))
    assert [one[0] for one in bad(check_results(cluster, tmp_path))] == ["warn"]


def limit_range(kind: str = "Container", **item: Any) -> dict[str, Any]:
    return thing("LimitRange", "range", spec={"limits": [{"type": kind, **item}]})


def test_a_limit_range_fills_in_what_a_quota_demands(cluster: FakeKubernetes, tmp_path: Path) -> None:
    cluster.add(quota({"limits.cpu": "64"}), limit_range(default={"cpu": "8"}))
    assert bad(check_results(cluster, tmp_path)) == []


@pytest.mark.parametrize(
    ("defaults", "words"),
    [
        ({}, "it requires a cpu request, and the pod has none"),
        ({"defaultRequest": {"cpu": "1"}, "default": {"cpu": "8"}}, ""),
        ({"default": {"cpu": "8"}}, "requests.cpu: 8 cpu wanted, 4 cpu left of 4 cpu"),
        ({"min": {"cpu": "5"}}, "requests.cpu: 5 cpu wanted, 4 cpu left of 4 cpu"),
        ({"max": {"cpu": "6"}}, "requests.cpu: 6 cpu wanted, 4 cpu left of 4 cpu"),
    ],
)
def test_a_pod_without_requests_has_the_limit_ranges(
    cluster: FakeKubernetes, tmp_path: Path, defaults: Any, words: str
) -> None:
    cluster.add(quota({"requests.cpu": "4"}), limit_range(**defaults))
    expected = [("fail", "prepare: quota team", words)] if words else []
    assert bad(check_results(cluster, tmp_path, step("prepare"))) == expected


def test_steps_that_ask_for_the_same_share_a_line(cluster: FakeKubernetes, tmp_path: Path) -> None:
    cluster.add(quota({"requests.cpu": "4"}))
    same = {"cpu": "5"}
    found = bad(check_results(cluster, tmp_path, step("prepare", requests=same), step("export", requests=same)))
    assert [one[1] for one in found] == ["prepare, export: quota team"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (limit_range(max={"cpu": "4"}), "6 cpu wanted, at most 4 cpu allowed"),
        (limit_range("Pod", max={"memory": "16Gi"}), "20Gi memory wanted, at most 16Gi memory allowed"),
        (limit_range(min={"cpu": "8"}), "6 cpu wanted, at least 8 cpu required"),
        (limit_range(max={"cpu": "8"}, min={"cpu": "1"}), ""),
        (limit_range("PersistentVolumeClaim", max={"storage": "1Gi"}), ""),
    ],
)
def test_a_limit_range_is_held_against_the_pod(cluster: FakeKubernetes, tmp_path: Path, given: Any, words: str) -> None:
    cluster.add(given)
    assert bad(check_results(cluster, tmp_path)) == ([("fail", "train: limit range range", words)] if words else [])
