import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kubernetes_api import FakeKubernetes, Fault, node, thing
from kubernetes_cluster import L4, TRAIN, bad, check_results, furnished, reach

from components.core.errors import StepError
from pipelines.cluster.kube import submit_checks
from pipelines.cluster.kube.access import connect


@pytest.fixture
def cluster() -> Iterator[FakeKubernetes]:
    with furnished() as server:
        yield server


def test_without_a_kubeconfig_the_cluster_is_not_looked_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert connect(environ={}) is None
    (only,) = submit_checks.check(None, "kubeflow", [TRAIN])
    assert only.level == "warn"
    assert "no kubeconfig" in only.found


def test_a_cluster_that_has_everything_is_ok_in_every_line(cluster: FakeKubernetes, tmp_path: Path) -> None:
    found = check_results(cluster, tmp_path, pipeline_root="")
    assert bad(found) == []
    lines = {one.what: one.found for one in found}
    assert lines["train: nodes"] == "1 of 2 fit, 1 with room now"
    assert lines["pipeline root"] == "gs://team/kfp"
    assert lines["cluster"] == f"here at {cluster.host}"


def test_nothing_is_read_that_was_not_asked_for(cluster: FakeKubernetes, tmp_path: Path) -> None:
    check_results(cluster, tmp_path)
    asked = " ".join(cluster.requests)
    assert "kueue" not in asked
    assert "computeclasses" not in asked
    assert "kfp-launcher" not in asked


@pytest.mark.parametrize(
    ("asked", "what", "words"),
    [
        ({"service_account": "pipeline-runer"}, "service account pipeline-runer", "does not exist in kubeflow"),
        ({"queue": "train"}, "queue train", "does not exist in kubeflow"),
        ({"compute_class": "cheap"}, "compute class cheap", "does not exist"),
    ],
)
def test_what_is_named_and_does_not_exist_fails(
    cluster: FakeKubernetes, tmp_path: Path, asked: Any, what: str, words: str
) -> None:
    assert bad(check_results(cluster, tmp_path, **asked)) == [("fail", what, words)]


def test_a_namespace_that_does_not_exist_is_the_one_thing_said(cluster: FakeKubernetes, tmp_path: Path) -> None:
    found = submit_checks.check(reach(cluster, tmp_path), "kubefow", [TRAIN], service_account="pipeline-runner")
    assert bad(found) == [("fail", "namespace kubefow", "does not exist")]


def test_a_service_account_is_shown_with_its_google_account(cluster: FakeKubernetes, tmp_path: Path) -> None:
    account = {"iam.gke.io/gcp-service-account": "kfp@team.iam.gserviceaccount.com"}
    cluster.add(thing("ServiceAccount", "pipeline-runner", metadata={"annotations": account}))
    lines = {one.what: one.found for one in check_results(cluster, tmp_path)}
    assert lines["service account pipeline-runner"] == "exists, as kfp@team.iam.gserviceaccount.com"


RIGHTS = {
    "get namespaces in kubeflow": "whether it exists",
    "list nodes in the cluster": "whether a node fits",
    "list resourcequotas in kubeflow": "the quota",
    "list limitranges in kubeflow": "the limit ranges",
    "list pods in kubeflow": "why a step hangs, while the run is followed",
    "get serviceaccounts in kubeflow": "the service account",
    "get configmaps in kubeflow": "the default pipeline root",
    "get localqueues.kueue.x-k8s.io in kubeflow": "the queue",
    "get computeclasses.cloud.google.com in the cluster": "the compute class",
}


@pytest.mark.parametrize("reviews", [True, False], ids=["reviewed", "no reviews"])
def test_a_kubeconfig_without_rights_gives_one_line_for_each(
    cluster: FakeKubernetes, tmp_path: Path, reviews: bool
) -> None:
    cluster.deny("*")
    if not reviews:
        cluster.faults.append(Fault("selfsubjectaccessreviews", 403))
    found = check_results(cluster, tmp_path, queue="train", compute_class="cheap", pipeline_root="")
    missing = {one.what.removeprefix("right to "): one.advice for one in found if one.what.startswith("right to")}
    expected = {right: f"not checked: {what}" for right, what in RIGHTS.items()}
    if not reviews:
        # Nothing is read there yet, so only a review can tell.
        del expected["list pods in kubeflow"]
    assert missing == expected
    assert {one.level for one in found} == {"ok", "warn"}
    assert all("\n" not in one.found + one.advice for one in found)


def test_one_missing_right_skips_one_check(cluster: FakeKubernetes, tmp_path: Path) -> None:
    cluster.deny("list limitranges in kubeflow")
    found = check_results(cluster, tmp_path)
    assert bad(found) == [("warn", "right to list limitranges in kubeflow", "missing")]


def test_without_a_right_to_the_pods_of_others_nothing_is_said_of_what_they_hold(
    cluster: FakeKubernetes, tmp_path: Path
) -> None:
    cluster.deny("list pods")
    found = check_results(cluster, tmp_path)
    assert bad(found) == []
    assert {one.what: one.found for one in found}["train: nodes"] == "1 of 2 fit"


def test_a_pool_at_zero_is_found_in_the_autoscalers_status(cluster: FakeKubernetes, tmp_path: Path) -> None:
    del cluster.objects["", "nodes", "", "gke-l4-0"]
    status = "nodeGroups: [{name: gke-c-l4-1234-grp, health: {maxSize: 4}}]"
    cluster.add(thing("ConfigMap", "cluster-autoscaler-status", "kube-system", data={"status": status}))
    found = check_results(cluster, tmp_path, accelerator="l4")
    assert [one[:2] for one in bad(found)] == [("warn", "train: nodes")]
    advice = next(one.advice for one in found if one.what == "train: nodes")
    assert "gke-c-l4-1234-grp (0 of 4)" in advice
    assert "suanli nodepool l4" in advice


def test_autopilot_is_known_and_its_rules_are_held(cluster: FakeKubernetes, tmp_path: Path) -> None:
    cluster.add(node("gk3-team-pool-1-abc"))
    bare = replace(TRAIN, node_selector={})
    assert ("fail", "train: Autopilot") in [one[:2] for one in bad(check_results(cluster, tmp_path, bare))]
    elsewhere = replace(TRAIN, node_selector={**L4, "cloud.google.com/gke-accelerator": "nvidia-b200"})
    assert [one[:2] for one in bad(check_results(cluster, tmp_path, elsewhere))] == [("warn", "train: nodes")]


def test_a_failure_half_way_is_one_line(cluster: FakeKubernetes, tmp_path: Path) -> None:
    cluster.faults.append(Fault("/api/v1/nodes", 503))
    with pytest.raises(StepError, match="answers 503 for /api/v1/nodes"):
        check_results(cluster, tmp_path)


def test_findings_are_plain_values(cluster: FakeKubernetes, tmp_path: Path) -> None:
    assert json.dumps([one._asdict() for one in check_results(cluster, tmp_path)])
