"""The preflight's reading of a cluster against a real API server: rights, credentials, quotas, silence."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import certificates
import gke
import kubeflow_namespace
import pytest
import steps
from api import eventually
from clusters import Cluster
from command_line import workflow
from control_plane import ControlPlane
from kubeflow_namespace import LAUNCHER, NAMESPACE, QUOTA, ROOT
from steps import CATALOG

from components.core.errors import StepError
from pipelines.cluster.kube import classes, submit_checks
from pipelines.cluster.kube.access import Access, connect, list_items, read
from pipelines.cluster.kube.stuck import stuck, waiting
from pipelines.compile.check_result import CheckResult
from pipelines.hardware.ladder import Rung
from pipelines.hardware.pods import Pod
from pipelines.hardware.variant import Variant

L4 = Rung(CATALOG["l4"])
AUTOSCALER = "/api/v1/namespaces/kube-system/configmaps"


@pytest.fixture(scope="module")
def kubeflow(cluster: Cluster) -> Iterator[Cluster]:
    """The prod overlay on a cluster with a pool of L4s and a default pool."""
    cluster.furnish([gke.node(L4), *gke.default_pool()])
    with kubeflow_namespace.prod(cluster):
        yield cluster


@pytest.fixture
def tidy(kubeflow: Cluster) -> Iterator[Cluster]:
    """No pods and workflows left, and the quota as it was."""
    yield kubeflow
    kubeflow_namespace.tidy(kubeflow)


def reach(kubeconfig: Path, timeout: float = 5.0) -> Access:
    found = connect(environ={"KUBECONFIG": str(kubeconfig)}, timeout=timeout)
    assert found
    return found


def looked_at(access: Access, *pods: Pod, **asked: Any) -> list[CheckResult]:
    given = {"service_account": "suanli-runner", "queue": "train", "accelerator": "l4", **asked}
    return submit_checks.check(
        access, NAMESPACE, pods or list(steps.of([L4], variant=Variant(queue="train")).values()), **given
    )


def bad(found: list[CheckResult]) -> list[tuple[str, str, str]]:
    return [(one.level, one.what, one.found) for one in found if one.level != "ok"]


def test_with_all_rights_all_is_well(kubeflow: Cluster) -> None:
    found = looked_at(reach(kubeflow.api.kubeconfig))
    assert bad(found) == []
    said = {one.what: one.found for one in found}
    assert said["train: nodes"] == "1 of 3 fit, 1 with room now"
    assert said["prepare, evaluate, export: nodes"] == "2 of 3 fit, 2 with room now"
    assert said["pipeline root"].startswith("gs://")
    assert said["service account suanli-runner"] == "exists, as suanli-prod@example-project.iam.gserviceaccount.com"
    assert said["queue train"] == "cluster queue training, 0 waiting"


def test_the_overlays_group_has_every_right_that_the_preflight_wants(kubeflow: Cluster, plane: ControlPlane) -> None:
    assert bad(looked_at(reach(plane.kubeconfig("prod-person")))) == []


def test_without_rights_each_missing_one_is_told_and_nothing_fails(kubeflow: Cluster, plane: ControlPlane) -> None:
    found = looked_at(reach(plane.kubeconfig("stranger")))
    assert {one.level for one in found} == {"ok", "warn"}
    missing = {what for level, what, said in bad(found) if said == "missing"}
    assert missing == {
        *(f"right to get {name} in kubeflow" for name in ("namespaces", "serviceaccounts", "configmaps")),
        *(f"right to list {name} in kubeflow" for name in ("resourcequotas", "limitranges", "pods")),
        "right to list nodes in the cluster",
        "right to get localqueues.kueue.x-k8s.io in kubeflow",
    }
    with pytest.raises(StepError, match="no right to") as caught:
        list_items(reach(plane.kubeconfig("stranger")), "/api/v1/nodes")
    assert "\n" not in str(caught.value)


@pytest.fixture
def token(kubeflow: Cluster) -> str:
    return kubeflow_namespace.token(kubeflow)


def test_a_service_accounts_token_is_taken_until_it_expires(plane: ControlPlane, token: str) -> None:
    claims = certificates.claims_of(token)
    signed = certificates.token(plane.folder, token, claims)
    access = reach(plane.kubeconfig("signed", signed))
    assert read(access, LAUNCHER)
    past = {**claims, "iat": claims["iat"] - 7200, "nbf": claims["nbf"] - 7200, "exp": claims["exp"] - 7200}
    expired = plane.kubeconfig("expired", certificates.token(plane.folder, token, past))
    with pytest.raises(StepError, match=r"refuses the credentials of the context test \(401\)") as caught:
        reach(expired)
    assert "log in again" in (caught.value.advice or "")


@pytest.mark.parametrize("kind", ["unknown", "of another key", "of nobody"])
def test_a_token_that_is_none_is_refused(kind: str, plane: ControlPlane, token: str, tmp_path: Path) -> None:
    certificates.write(tmp_path)
    claims = certificates.claims_of(token)
    # The server goes by these claims, and leaves the subject unread.
    private = claims["kubernetes.io"]
    nobody = {**claims, "kubernetes.io": {**private, "serviceaccount": {**private["serviceaccount"], "name": "nobody"}}}
    tokens = {
        "unknown": "0123456789abcdef",
        "of another key": certificates.token(tmp_path, token, claims),
        "of nobody": certificates.token(plane.folder, token, nobody),
    }
    with pytest.raises(StepError, match=r"refuses the credentials of the context test \(401\)"):
        reach(plane.kubeconfig("refused", tokens[kind]))


def test_a_token_that_is_taken_away_in_the_middle_is_told(kubeflow: Cluster, plane: ControlPlane, token: str) -> None:
    access = reach(plane.kubeconfig("taken", token))
    assert read(access, LAUNCHER)
    path = f"{ROOT}/serviceaccounts/suanli-runner"
    kubeflow.api.delete(path)
    try:
        eventually(lambda: _refused(access), bool, timeout=30)
    finally:
        kubeflow_namespace.apply(kubeflow, "prod")


def _refused(access: Access) -> bool:
    try:
        read(access, LAUNCHER)
    except StepError as error:
        return "(401)" in str(error)
    return False


def test_another_authority_is_not_trusted(plane: ControlPlane, tmp_path: Path) -> None:
    certificates.write(tmp_path)
    text = plane.kubeconfig().read_text().replace(str(plane.folder / "ca.crt"), str(tmp_path / "ca.crt"))
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    with pytest.raises(StepError, match="its certificate is not accepted"):
        reach(path)


STATUS = """
nodeGroups:
- name: https://www.googleapis.com/compute/v1/projects/p/zones/z/instanceGroups/gke-c-t4-grp
  health: {status: Healthy, cloudProviderTarget: 0, minSize: 0, maxSize: 4}
"""


def test_a_pool_at_zero_is_a_warning(kubeflow: Cluster) -> None:
    t4 = steps.train(Rung(CATALOG["t4"]))
    access = reach(kubeflow.api.kubeconfig)
    assert [level for level, what, _ in bad(looked_at(access, t4)) if what == "train: nodes"] == ["fail"]
    name = {"name": "cluster-autoscaler-status", "namespace": "kube-system"}
    kubeflow.api.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": name, "data": {"status": STATUS}})
    try:
        (result,) = [one for one in looked_at(access, t4, accelerator="t4") if one.what == "train: nodes"]
    finally:
        kubeflow.api.delete(f"{AUTOSCALER}/cluster-autoscaler-status")
    assert result.level == "warn" and "gke-c-t4-grp (0 of 4)" in result.advice


# --- quota -----------------------------------------------------------------------------------------------------------


def test_a_full_quota_refuses_a_pod_and_the_user_reads_why(tidy: Cluster) -> None:
    api, pod, access = tidy.api, steps.train(L4), reach(tidy.api.kubeconfig)
    with kubeflow_namespace.accelerators(tidy, 1):
        api.create(steps.manifest(pod, NAMESPACE, "first"))
        eventually(lambda: api.get(QUOTA)["status"]["used"]["requests.nvidia.com/gpu"], lambda used: used == "1")
        status, message = api.status("POST", f"{ROOT}/pods", steps.manifest(pod, NAMESPACE, "second"))
        (before,) = [one for one in looked_at(access, pod, queue="") if "quota" in one.what]
        # A pod that asks for more than the whole quota will never be let in.
        two = steps.train(Rung(CATALOG["l4x2"]))
        (never,) = [one for one in looked_at(access, two, queue="") if "quota" in one.what]
    assert status == 403 and "exceeded quota: suanli-accelerators" in message
    assert before[:3] == (
        *("warn", "train: quota suanli-accelerators"),
        "requests.nvidia.com/gpu: 1 nvidia.com/gpu wanted, 0 nvidia.com/gpu left of 1 nvidia.com/gpu",
    )
    assert never.level == "fail"
    api.create(workflow("second", message))
    told = {"train": f"its pod is not admitted: {message}"}
    assert stuck(access, NAMESPACE, "second") == told
    assert waiting(access, NAMESPACE)["second"] == told


def test_a_quota_on_cpu_refuses_what_the_preflight_says_it_will(tidy: Cluster) -> None:
    """The API server's own words, for the same pod: it must be refused exactly where the preflight fails it."""
    api, access = tidy.api, reach(tidy.api.kubeconfig)
    hard = {"limits.cpu": "4"}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "cores", "namespace": NAMESPACE}}
    api.create({**quota, "spec": {"hard": hard}})
    path = f"{ROOT}/resourcequotas/cores"
    try:
        eventually(lambda: api.get(path).get("status", {}).get("hard"), lambda found: found == hard)
        pod = steps.train(L4)
        (result,) = [one for one in looked_at(access, pod, queue="") if "cores" in one.what]
        status, message = api.status("POST", f"{ROOT}/pods", steps.manifest(pod, NAMESPACE, "cores"))
    finally:
        api.delete(path)
    assert result[:3] == ("fail", "train: quota cores", "it requires a cpu limit, and the pod has none")
    assert status == 403 and "must specify limits.cpu" in message


def test_a_limit_range_refuses_what_the_preflight_says_it_will(tidy: Cluster) -> None:
    api, access = tidy.api, reach(tidy.api.kubeconfig)
    item = {"type": "Container", "max": {"memory": "8Gi"}}
    each = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small", "namespace": NAMESPACE}}
    api.create({**each, "spec": {"limits": [item]}})
    try:
        pod = steps.train(L4)
        told = [one[:2] for one in looked_at(access, pod, queue="") if one.level == "fail"]
        status, message = eventually(
            lambda: api.status("POST", f"{ROOT}/pods", steps.manifest(pod, NAMESPACE, "small")),
            lambda answer: answer[0] != 201,
        )
    finally:
        api.delete(f"{ROOT}/limitranges/small")
    assert ("fail", "train: limit range small") in told
    # The largest amount becomes the limit that the pod lacks, and its request is larger than that: an invalid pod.
    assert status == 422 and "must be less than or equal to memory limit" in message


# --- compute classes -------------------------------------------------------------------------------------------------


def test_a_class_is_made_once_and_then_left_alone(tidy: Cluster, plane: ControlPlane) -> None:
    access = reach(tidy.api.kubeconfig)
    assert classes.served(access)
    rungs = [Rung(CATALOG["l4x2"], "spot"), Rung(CATALOG["l4x2"])]
    name = classes.ensure(access, rungs)
    path = f"{classes.GROUP}/computeclasses/{name}"
    first = tidy.api.get(path)["metadata"]
    assert classes.ensure(access, rungs) == name and tidy.api.get(path)["metadata"] == first
    person = reach(plane.kubeconfig("prod-person"))
    assert classes.ensure(person, rungs) == name, "who may only read takes the class that is there"
    tidy.api.delete(path)
    with pytest.raises(StepError, match=f"no right to create the compute class {name}"):
        classes.ensure(person, rungs)


# --- silence ---------------------------------------------------------------------------------------------------------


def test_a_server_that_stops_answering_is_told_in_time_and_taken_up_again(
    kubeflow: Cluster, plane: ControlPlane
) -> None:
    access = reach(kubeflow.api.kubeconfig, timeout=1.0)
    assert read(access, LAUNCHER)
    with plane.halted("kube-apiserver"):
        began = time.monotonic()
        with pytest.raises(StepError, match=r"no answer from the cluster at .*: nothing within 1 s"):
            looked_at(access)
        with pytest.raises(StepError, match="no answer from the cluster"):
            reach(kubeflow.api.kubeconfig, timeout=1.0)
        assert time.monotonic() - began < 10
    assert bad(looked_at(reach(kubeflow.api.kubeconfig))) == []


@pytest.mark.parametrize("after", [0.0, 0.01, 0.03, 0.06, 0.1])
def test_a_server_that_falls_silent_in_the_middle_never_hangs_the_preflight(
    after: float, kubeflow: Cluster, plane: ControlPlane
) -> None:
    access = reach(kubeflow.api.kubeconfig, timeout=1.0)
    seen: list[Any] = []

    def look() -> None:
        try:
            seen.append(looked_at(access))
        except StepError as error:
            seen.append(str(error))

    thread = threading.Thread(target=look)
    thread.start()
    time.sleep(after)
    with plane.halted("kube-apiserver"):
        thread.join(10)
        assert not thread.is_alive()
    (answer,) = seen
    assert "nothing within 1 s" in answer if isinstance(answer, str) else bad(answer) == []


def test_a_server_that_is_gone_is_told(plane: ControlPlane, tmp_path: Path) -> None:
    text = json.dumps(plane.kubeconfig().read_text()).replace(plane.host, "https://127.0.0.1:1")
    path = tmp_path / "kubeconfig"
    path.write_text(json.loads(text))
    with pytest.raises(StepError, match="connection refused"):
        reach(path)
