"""``suanli submit`` as a command against a real API server: its checks, and what it says of a step that waits."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import certificates
import gke
import kubeflow_namespace
import pytest
import steps
from api import eventually
from clusters import Cluster
from command_line import BOUND_S, Desk, Done, making_pods
from control_plane import ControlPlane
from gate import gate
from kubeflow import FakeKubeflow
from kubeflow_namespace import NAMESPACE, QUOTA
from steps import CATALOG
from wrong_pods import other_topology, twice_the_chips, without_toleration

from pipelines.hardware.ladder import Rung
from pipelines.hardware.pods import Pod

pytestmark = pytest.mark.slow  # each test starts the command once or more
L4 = Rung(CATALOG["l4"])
TPU = Rung(CATALOG["v5e-4"])
GIVE_UP = ("--wait", "--give-up", "0.05m")
# Rows of a team that do not fit its pool: the taint was forgotten, the machines are of another type.
ROWS = """
[bare]
like = "l4"
taints = []

[other]
like = "l4"
machine_type = "g2-standard-16"
"""


@pytest.fixture(scope="module")
def prod(cluster: Cluster) -> Iterator[Cluster]:
    """The prod overlay on a cluster with an L4, a TPU and a default pool."""
    cluster.furnish([gke.node(L4), gke.node(TPU), *gke.default_pool()])
    with kubeflow_namespace.prod(cluster):
        yield cluster


@pytest.fixture
def tidy(prod: Cluster) -> Iterator[Cluster]:
    """No pods and workflows left."""
    yield prod
    kubeflow_namespace.tidy(prod)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("profiles")


@pytest.fixture
def desk(tmp_path: Path, cache: Path, team_storage: str) -> Iterator[Desk]:
    with FakeKubeflow() as server:
        yield Desk(tmp_path, cache, server, team_storage)


def refused(done: Done, desk: Desk, words: str) -> None:
    """One line of error, exit 2, nothing sent, in time."""
    assert done.code == 2 and done.seconds < BOUND_S, done
    assert done.err.startswith("error: ") and done.err.count("\n") == 1 and words in done.err, done
    assert not desk.kubeflow.runs and not desk.kubeflow.versions and not (desk.folder / "runs").exists()


# --- before anything is sent -----------------------------------------------------------------------------------------


def test_with_rights_a_dry_run_finds_its_nodes_and_sends_nothing(
    prod: Cluster, plane: ControlPlane, desk: Desk
) -> None:
    done = desk.submit(plane.kubeconfig("prod-person"), "--dry-run")
    assert (done.code, done.err, done.lines("fail")) == (0, "", [])
    assert done.line("ok", "train: nodes") == "1 of 4 fit"  # the group may not list the pods of other namespaces
    assert [line for line in done.lines("warn") if "right" in line] == []
    assert not desk.kubeflow.runs and not desk.kubeflow.versions


def test_without_rights_each_missing_one_is_a_line_and_the_run_is_sent(
    tidy: Cluster, plane: ControlPlane, desk: Desk
) -> None:
    done = desk.submit(plane.kubeconfig("stranger"))
    assert done.code == 0 and len(desk.kubeflow.runs) == 1
    missing = [line for line in done.lines("warn") if line.startswith("right to ") and "missing" in line]
    assert "right to list nodes in the cluster: missing; not checked: whether a node fits" in missing
    assert len(missing) == 7


@pytest.mark.parametrize("kind", ["expired", "unknown"])
def test_a_token_that_is_not_taken_is_one_line(kind: str, prod: Cluster, plane: ControlPlane, desk: Desk) -> None:
    token = kubeflow_namespace.token(prod)
    claims = certificates.claims_of(token)
    past = {**claims, **{name: claims[name] - 7200 for name in ("iat", "nbf", "exp")}}
    given = {"expired": certificates.token(plane.folder, token, past), "unknown": "0123456789abcdef"}
    refused(desk.submit(plane.kubeconfig(kind, given[kind])), desk, "(401); log in again")


def test_a_kubeconfig_or_a_context_that_is_none_is_one_line(prod: Cluster, desk: Desk) -> None:
    broken = desk.folder / "broken"
    broken.write_text("clusters: [")
    refused(desk.submit(broken), desk, "is not a usable kubeconfig")
    refused(desk.submit(prod.api.kubeconfig, "--kube-context", "tset"), desk, "no context 'tset' in ")


def test_a_pool_at_zero_is_a_warning_and_the_run_is_sent(tidy: Cluster, desk: Desk) -> None:
    refused(desk.submit(tidy.api.kubeconfig, accelerator="t4"), desk, "train: nodes: no node of 4 has ")
    status = "nodeGroups: [{name: a/b/gke-c-t4-grp, health: {cloudProviderTarget: 0, maxSize: 4}}]"
    path = "/api/v1/namespaces/kube-system/configmaps"
    name = {"name": "cluster-autoscaler-status", "namespace": "kube-system"}
    tidy.api.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": name, "data": {"status": status}})
    try:
        done = desk.submit(tidy.api.kubeconfig, accelerator="t4")
    finally:
        tidy.api.delete(f"{path}/cluster-autoscaler-status")
    assert done.code == 0 and len(desk.kubeflow.runs) == 1
    assert "fine if its pool is scaled to zero: gke-c-t4-grp (0 of 4)" in done.line("warn", "train: nodes")


def test_a_pod_that_is_larger_than_the_quota_is_refused_before_it_is_sent(tidy: Cluster, desk: Desk) -> None:
    with kubeflow_namespace.accelerators(tidy, 0):
        done = desk.submit(tidy.api.kubeconfig)
    refused(done, desk, "train: quota suanli-accelerators: requests.nvidia.com/gpu: 1 nvidia.com/gpu wanted, 0 ")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (
            "bare",
            "train: nodes: 1 node has the labels, each with a taint that the pod does not tolerate: nvidia.com/gpu",
        ),
        (
            "other",
            "gke-l4-0 comes nearest: has node.kubernetes.io/instance-type=g2-standard-8, not g2-standard-16; if ",
        ),
    ],
)
def test_a_row_that_does_not_fit_its_pool_is_refused_before_it_is_sent(
    row: str, words: str, prod: Cluster, desk: Desk
) -> None:
    (desk.folder / "accelerators.toml").write_text(ROWS)
    refused(desk.submit(prod.api.kubeconfig, accelerator=row), desk, words)


# --- a pod that the cluster does not take ----------------------------------------------------------------------------


def nothing(cluster: Cluster) -> None:
    pass


def without_pool(cluster: Cluster) -> None:
    cluster.api.delete("/api/v1/nodes/gke-l4-0")


def same(pod: Pod) -> Pod:
    return pod


# What becomes of the pod, or of the cluster, between the checks and the scheduler; what the user reads.
WRONG: dict[str, tuple[Callable[[Pod], Pod], Callable[[Cluster], None], str, str]] = {
    "no toleration": (without_toleration, nothing, "l4", "with a taint that the pod does not tolerate"),
    "twice the chips": (twice_the_chips, nothing, "l4", "with too little nvidia.com/gpu free"),
    "another topology": (other_topology, nothing, "v5e-4", "3 without the labels that the pod selects"),
    "no such pool": (same, without_pool, "l4", "2 without the labels that the pod selects"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_pod_that_stays_pending_is_given_up_with_the_reason_that_doctor_tells_too(
    wrong: str, tidy: Cluster, plane: ControlPlane, desk: Desk
) -> None:
    change, before, accelerator, words = WRONG[wrong]
    person = plane.kubeconfig("prod-person")
    with making_pods(desk.kubeflow, tidy.api, change, lambda: before(tidy)):
        done = desk.submit(person, *GIVE_UP, accelerator=accelerator)
        looked = desk.doctor(person)
    if wrong == "no such pool":
        tidy.api.create(gke.node(L4))
    (run,) = desk.kubeflow.runs
    assert done.code == 2 and done.err.count("\n") == 1 and done.seconds < BOUND_S, done
    reason = done.err.removeprefix("error: the step train cannot be scheduled: ").partition("; the run was stopped")[0]
    assert reason.startswith("no node of ") and words in reason and "(the scheduler: 0/" in reason
    assert desk.kubeflow.runs[run]["state"] in {"CANCELING", "CANCELED"}
    assert looked.code == 0 and looked.line("warn", f"train of run {run}").startswith(reason)


def test_a_full_quota_refuses_the_pod_and_the_user_reads_the_servers_words(tidy: Cluster, desk: Desk) -> None:
    kubeconfig = tidy.api.kubeconfig
    with kubeflow_namespace.accelerators(tidy, 1):
        tidy.api.create(steps.manifest(steps.train(L4), NAMESPACE, "first"))
        eventually(lambda: tidy.api.get(QUOTA)["status"]["used"]["requests.nvidia.com/gpu"], lambda used: used == "1")
        with making_pods(desk.kubeflow, tidy.api):
            done = desk.submit(kubeconfig, *GIVE_UP)
            looked = desk.doctor(kubeconfig)
    (run,) = desk.kubeflow.runs
    assert "0 nvidia.com/gpu left of 1 nvidia.com/gpu" in done.line("warn", "train: quota suanli-accelerators")
    assert done.code == 2 and done.err.count("\n") == 1
    said = "its pod is not admitted: pods "
    assert f"error: the step train cannot be scheduled: {said}" in done.err
    assert "is forbidden: exceeded quota: suanli-accelerators, requested: requests.nvidia.com/gpu=1" in done.err
    assert looked.line("warn", f"train of run {run}").startswith(said)


# --- silence ---------------------------------------------------------------------------------------------------------


def test_a_server_that_does_not_answer_is_one_line_in_time(prod: Cluster, plane: ControlPlane, desk: Desk) -> None:
    desk.submit(prod.api.kubeconfig, "--dry-run")  # the planner's first profile takes its own time
    with plane.halted("kube-apiserver"):
        done = desk.submit(prod.api.kubeconfig)
    refused(done, desk, "cluster: no answer from the cluster at ")


@pytest.mark.parametrize("after", [1, 4])
def test_a_server_that_is_gone_in_the_middle_is_one_line(
    after: int, prod: Cluster, plane: ControlPlane, desk: Desk
) -> None:
    port = int(plane.host.rpartition(":")[2])
    with gate(port, after, lambda way: way.close()) as way:
        path = desk.folder / "kubeconfig"
        path.write_text(prod.api.kubeconfig.read_text().replace(plane.host, f"https://127.0.0.1:{way.port}"))
        done = desk.submit(path)
    refused(done, desk, "cluster: no answer from the cluster at ")


def test_a_run_goes_on_while_the_api_server_is_silent_and_its_end_is_told(
    tidy: Cluster, plane: ControlPlane, desk: Desk
) -> None:
    """The steps are known from Kubeflow; pods are looked at through the other door."""
    kubeflow = desk.kubeflow

    def act() -> None:
        eventually(lambda: kubeflow.runs, bool)
        (run,) = kubeflow.runs
        with plane.halted("kube-apiserver"):
            kubeflow.step(run, "train", "RUNNING")
            time.sleep(3)
            for name in ("prepare", "train", "evaluate", "export"):
                kubeflow.step(run, name, "SUCCEEDED")
            kubeflow.finish(run)
            time.sleep(7)

    thread = threading.Thread(target=act)
    thread.start()
    done = desk.submit(tidy.api.kubeconfig, "--wait")
    thread.join()
    assert (done.code, done.err) == (0, "") and "succeeded" in done.out and done.seconds < BOUND_S, done
