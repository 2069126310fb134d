import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes_api import FakeKubernetes, Fault, thing
from kubernetes_cluster import furnished, reach

from components.core.errors import StepError
from pipelines.cluster.kube.access import PAGE, Right, apply, connect, granted, list_items, read
from pipelines.cluster.kube.errors import ForbiddenError


@pytest.fixture
def cluster() -> Iterator[FakeKubernetes]:
    with furnished() as server:
        yield server


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (401, "refuses the credentials of the context here .401.; log in again"),
        (500, "answers 500 for /version: something is wrong here"),
        (429, "answers 429 for /version"),
        ("hang", "nothing within 0.3 s"),
        ("drop", "the connection was dropped"),
        ("html", "is not a Kubernetes API"),
    ],
)
def test_a_server_that_fails_is_one_line_within_seconds(
    cluster: FakeKubernetes, tmp_path: Path, act: Any, words: str
) -> None:
    cluster.faults.append(Fault("/version", act))
    started = time.monotonic()
    with pytest.raises(StepError, match=words) as caught:
        connect(environ={"KUBECONFIG": str(cluster.kubeconfig(tmp_path))}, timeout=0.3)
    assert len(cluster.requests) == (2 if act == "drop" else 1)
    assert time.monotonic() - started < 3
    assert "\n" not in str(caught.value)


def test_a_connection_dropped_once_is_asked_again(cluster: FakeKubernetes, tmp_path: Path) -> None:
    cluster.faults.append(Fault("/version", "drop", times=1))
    assert reach(cluster, tmp_path).version == cluster.version


def test_a_version_that_may_not_be_read_keeps_nobody_out(cluster: FakeKubernetes, tmp_path: Path) -> None:
    cluster.faults.append(Fault("/version", 403))
    assert not reach(cluster, tmp_path).gke


def test_a_long_list_is_read_to_its_end(cluster: FakeKubernetes, tmp_path: Path) -> None:
    cluster.add(*(thing("ConfigMap", f"c{number}", "many") for number in range(PAGE + 7)))
    assert len(list_items(reach(cluster, tmp_path), "/api/v1/namespaces/many/configmaps")) == PAGE + 7


def test_rights_are_those_that_the_server_reviews(cluster: FakeKubernetes, tmp_path: Path) -> None:
    cluster.deny("list nodes", "get localqueues.kueue.x-k8s.io in kubeflow")
    rights = [
        Right("list", "nodes"),
        Right("list", "pods"),
        Right("get", "localqueues", "kubeflow", "kueue.x-k8s.io", "train"),
        Right("get", "localqueues", "other", "kueue.x-k8s.io", "train"),
    ]
    assert list(granted(reach(cluster, tmp_path), rights).values()) == [False, True, False, True]


CHEAP = thing("ComputeClass", "cheap", "", api="cloud.google.com/v1", spec={"priorities": [{"spot": True}]})
CLASSES = "/apis/cloud.google.com/v1/computeclasses"


def test_an_object_is_applied_as_often_as_one_likes(cluster: FakeKubernetes, tmp_path: Path) -> None:
    access = reach(cluster, tmp_path)
    for _ in range(2):
        apply(access, f"{CLASSES}/cheap", CHEAP)
    assert read(access, f"{CLASSES}/cheap") == CHEAP


def test_an_object_that_may_not_be_applied_is_one_line(cluster: FakeKubernetes, tmp_path: Path) -> None:
    access = reach(cluster, tmp_path)
    cluster.deny("patch computeclasses.cloud.google.com")
    with pytest.raises(ForbiddenError, match="cannot patch it"):
        apply(access, f"{CLASSES}/cheap", CHEAP)
    with pytest.raises(StepError, match="does not match the name on the URL"):
        cluster.denied.clear()
        apply(access, f"{CLASSES}/dear", CHEAP)


def test_what_no_cluster_has_fails_the_test_that_asks_for_it(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="/api/v1/nodez"), FakeKubernetes() as server:
        assert read(reach(server, tmp_path), "/api/v1/nodez") is None
    with pytest.raises(AssertionError, match="labelSelectr"), FakeKubernetes() as server:
        assert list_items(reach(server, tmp_path), "/api/v1/nodes", labelSelectr="a=b") == []
    with pytest.raises(AssertionError, match="no such field"), FakeKubernetes() as server:
        server.add(thing("Pod", "one", spec={"containers": [], "node_name": "one"}))
