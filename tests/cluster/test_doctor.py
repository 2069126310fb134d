"""``suanli doctor`` as a command against a real API server: rights, credentials, pools, quotas, queues, silence."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import certificates
import gke
import kubeflow_namespace
import pytest
import steps
import yaml
from api import eventually
from clusters import Cluster
from command_line import BOUND_S, Desk, Done
from control_plane import ControlPlane
from gate import Gate, gate
from kubectl import ROOT as CHECKOUT
from kubeflow import FakeKubeflow
from kubeflow_namespace import NAMESPACE, QUOTA, ROOT
from steps import CATALOG

from pipelines.cluster.kube import doctor_checks
from pipelines.cluster.kube.access import connect
from pipelines.cluster.kube.doctor_checks import Installation
from pipelines.hardware.ladder import Rung

pytestmark = pytest.mark.slow  # each test starts the command once or more
L4 = Rung(CATALOG["l4"])
RETRIES = CHECKOUT / "manifests/components/retry-on-preemption/config-map.yaml"
PAGE = CHECKOUT / "docs/control-plane.md"
KEPT = ("python", "disk", "roots", "server", "Kubeflow", "sign-in")
STATUS = "nodeGroups: [{name: a/b/gke-c-t4-grp, health: {cloudProviderTarget: 0, maxSize: 4}}]"


@pytest.fixture(scope="module")
def prod(cluster: Cluster) -> Iterator[Cluster]:
    """The prod overlay on a cluster with L4s, on demand and spot, and a default pool."""
    cluster.furnish([gke.node(L4), gke.node(Rung(L4.row, "spot")), *gke.default_pool()])
    with kubeflow_namespace.prod(cluster):
        yield cluster
        cluster.clear(NAMESPACE)


@pytest.fixture
def desk(tmp_path: Path, team_storage: str) -> Iterator[Desk]:
    with FakeKubeflow() as server:
        yield Desk(tmp_path, tmp_path / "cache", server, team_storage)


def test_with_all_rights_every_line_is_ok(prod: Cluster, desk: Desk) -> None:
    config = yaml.safe_load(RETRIES.read_text())
    config["metadata"]["namespace"] = NAMESPACE
    prod.api.create(config)
    try:
        done = desk.doctor(prod.api.kubeconfig)
    finally:
        prod.api.delete(f"{ROOT}/configmaps/{config['metadata']['name']}")
    assert (done.err, done.lines("warn"), done.lines("fail"), done.code) == ("", [], [], 0), done.lines("fail")
    assert done.line("ok", "cluster").startswith(f"test at {prod.api.client.configuration.host}, v")
    assert done.line("ok", "Kubeflow") == "2.17.0"
    assert done.line("ok", "sign-in") == "runs can be listed"
    assert done.line("ok", "nodes l4") == "1 ready, 1 nvidia.com/gpu free of 1"
    assert done.line("ok", "nodes l4:spot") == "1 ready, 1 nvidia.com/gpu free of 1"
    assert done.line("ok", "nodes without accelerators") == "2 ready"
    assert "requests.nvidia.com/gpu: 64 nvidia.com/gpu left of 64" in done.line("ok", "quota suanli-accelerators")
    assert done.line("ok", "queue train") == "cluster queue training, 0 waiting"
    assert done.line("ok", "retries").startswith("retryPolicy OnTransientError")
    assert done.line("ok", "pipeline root").startswith("gs://")
    assert "suanli-prod@" in done.line("ok", "service account suanli-runner")


def test_the_overlays_group_has_all_the_rights_and_nothing_is_changed(
    prod: Cluster, plane: ControlPlane, desk: Desk
) -> None:
    def versions() -> list[str]:
        paths = ("/api/v1/nodes", f"{ROOT}/pods", f"{ROOT}/configmaps", f"{ROOT}/resourcequotas")
        return [each["metadata"]["uid"] for path in paths for each in prod.api.items(path)]

    before = versions()
    done = desk.doctor(plane.kubeconfig("prod-person"))
    assert (done.code, done.lines("warn"), done.lines("fail")) == (0, [], [])
    assert done.line("ok", "rights").startswith("all 14 ") and versions() == before
    assert not desk.kubeflow.experiments and not desk.kubeflow.runs


def test_the_rights_are_those_that_the_page_has(prod: Cluster) -> None:
    """What the documented table gives submitters is what the command asks about."""
    access = connect(environ={"KUBECONFIG": str(prod.api.kubeconfig)})
    assert access
    wanted = doctor_checks.submit_reads(
        access, Installation(NAMESPACE, NAMESPACE, "suanli-runner"), kueue="v1beta2", compute_classes=True
    ).values()
    asked = {(look.right.verb, look.right.resource, look.right.group) for look in wanted}
    rows = [line.split("|")[1:5] for line in PAGE.read_text().splitlines() if line.count("|") == 5]
    documented = {tuple(row[0].strip(" `").split()[:2]) for row in rows if row[3].strip() == "yes"}
    assert documented == {(verb, f"{resource}.{group}" if group else resource) for verb, resource, group in asked}


def test_without_rights_each_missing_one_is_a_line_and_nothing_fails(
    prod: Cluster, plane: ControlPlane, desk: Desk
) -> None:
    done = desk.doctor(plane.kubeconfig("stranger"))
    assert (done.code, done.err, done.lines("fail")) == (0, "", [])
    missing = [
        line for line in done.lines("warn") if line.startswith("right to ") and ": missing; not checked: " in line
    ]
    assert len(missing) == 14 and missing == done.lines("warn")
    assert "right to list nodes in the cluster: missing; not checked: whether a node fits" in missing


# --- who cannot get in -----------------------------------------------------------------------------------------------


@pytest.fixture
def token(prod: Cluster) -> str:
    return kubeflow_namespace.token(prod)


def one_failure(done: Done, words: str) -> None:
    """One line about the cluster, and every line about the rest."""
    assert (done.code, done.err) == (1, "") and done.seconds < BOUND_S
    assert len(done.lines("fail")) == 1 and words in done.line("fail", "cluster"), done
    for what in KEPT:
        assert done.line("ok", what)


@pytest.mark.parametrize("kind", ["expired", "unknown"])
def test_a_token_that_is_not_taken_is_one_line(kind: str, plane: ControlPlane, desk: Desk, token: str) -> None:
    claims = certificates.claims_of(token)
    past = {**claims, **{name: claims[name] - 7200 for name in ("iat", "nbf", "exp")}}
    given = {"expired": certificates.token(plane.folder, token, past), "unknown": "0123456789abcdef"}
    good = desk.doctor(plane.kubeconfig("signed", token))
    assert good.code == 0
    done = desk.doctor(plane.kubeconfig(kind, given[kind]))
    one_failure(done, "refuses the credentials of the context test (401); log in again")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("clusters: [", "is not a usable kubeconfig: while parsing a flow"),
        ("just words", "is not a usable kubeconfig"),
        ("apiVersion: v1\nkind: Config\nclusters: []\ncontexts: []\nusers: []\n", "has no current context"),
    ],
)
def test_a_kubeconfig_that_is_none_is_one_line(text: str, words: str, desk: Desk) -> None:
    path = desk.folder / "broken"
    path.write_text(text)
    one_failure(desk.doctor(path), words)


def test_a_context_that_is_not_there_is_a_bad_option(prod: Cluster, desk: Desk) -> None:
    done = desk.doctor(prod.api.kubeconfig, "--kube-context", "tset")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: no context 'tset' in ") and done.err.endswith(
        "; did you mean test? (known: test)\n"
    )


# --- what is not as it should be -------------------------------------------------------------------------------------


def test_pools_at_zero_cordoned_and_unknown_are_told(prod: Cluster, desk: Desk) -> None:
    path = "/api/v1/namespaces/kube-system/configmaps"
    name = {"name": "cluster-autoscaler-status", "namespace": "kube-system"}
    prod.api.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": name, "data": {"status": STATUS}})
    prod.api.merge("/api/v1/nodes/gke-l4-0", {"spec": {"unschedulable": True}})
    try:
        done = desk.doctor(prod.api.kubeconfig)
    finally:
        prod.api.merge("/api/v1/nodes/gke-l4-0", {"spec": {"unschedulable": None}})
        prod.api.delete(f"{path}/cluster-autoscaler-status")
    assert done.code == 0
    assert done.line("warn", "nodes l4") == "0 ready, 1 cordoned (gke-l4-0); kubectl uncordon gke-l4-0"
    assert done.line("ok", "nodes at zero").endswith("gke-c-t4-grp (0 of 4)")


def test_a_full_quota_is_a_warning(prod: Cluster, desk: Desk) -> None:
    pod = steps.manifest(steps.train(L4), NAMESPACE, "first")
    with kubeflow_namespace.accelerators(prod, 1):
        prod.api.create(pod)
        used = eventually(
            lambda: prod.api.get(QUOTA)["status"]["used"]["requests.nvidia.com/gpu"], lambda used: used == "1"
        )
        done = desk.doctor(prod.api.kubeconfig)
        prod.clear(NAMESPACE)
    assert used == "1" and done.code == 0
    told = done.line("warn", "quota suanli-accelerators")
    assert "requests.nvidia.com/gpu: 0 nvidia.com/gpu left of 1" in told and "until others end" in told


def test_names_that_are_not_there_fail_with_a_line_each(prod: Cluster, desk: Desk) -> None:
    path = desk.folder / "targets.toml"
    path.write_text(path.read_text().replace("suanli-runner", "suanli-runer") + 'queue = "trian"\n')
    done = desk.doctor(prod.api.kubeconfig)
    assert done.code == 1 and len(done.lines("fail")) == 2
    assert done.line("fail", "service account suanli-runer").startswith("does not exist in kubeflow; ")
    assert done.line("fail", "queue trian") == "does not exist in kubeflow; did you mean train? (known: train)"
    done = desk.doctor(prod.api.kubeconfig, "--namespace", "nowhere")
    assert done.code == 1 and done.line("fail", "namespace nowhere").startswith("does not exist")


# --- silence ---------------------------------------------------------------------------------------------------------


def test_a_server_that_does_not_answer_is_one_line_in_time(prod: Cluster, plane: ControlPlane, desk: Desk) -> None:
    with plane.halted("kube-apiserver"):
        done = desk.doctor(prod.api.kubeconfig)
    one_failure(done, "nothing within 5 s")
    assert desk.doctor(prod.api.kubeconfig).code == 0


@pytest.mark.parametrize("after", [1, 4, 7])
@pytest.mark.parametrize("ends", [False, True], ids=["is silent", "is gone"])
def test_a_server_that_stops_answering_in_the_middle_is_one_line_in_time(
    after: int, ends: bool, prod: Cluster, plane: ControlPlane, desk: Desk
) -> None:
    """The client opens a connection for its first question, and more for those that it asks at once."""
    port = urlsplit(plane.host).port
    assert port

    with ExitStack() as stack:

        def act(way: Gate) -> None:
            if ends:
                way.close()
            else:
                stack.enter_context(plane.halted("kube-apiserver"))

        way = stack.enter_context(gate(port, after, act))
        path = desk.folder / "kubeconfig"
        path.write_text(prod.api.kubeconfig.read_text().replace(plane.host, f"https://127.0.0.1:{way.port}"))
        done = desk.doctor(path)
        assert way.seen > after, "the server was asked on fewer connections"
    one_failure(done, "no answer from the cluster at ")
    assert done.line("ok", "cluster").startswith("test at ")


def test_json_has_the_same_findings(prod: Cluster, desk: Desk) -> None:
    found = json.loads(desk.doctor(prod.api.kubeconfig, "--json").out)
    assert {one["what"] for one in found} >= {*KEPT, "cluster", "rights", "nodes l4", "queue train"}
    assert {frozenset(one) for one in found} == {frozenset({"level", "what", "found", "advice"})}
