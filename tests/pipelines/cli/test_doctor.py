"""What ``suanli doctor`` says of a cluster, over HTTP against a Kubeflow server and a Kubernetes API on loopback."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import team_target
from answers import answer
from kubeflow import FakeKubeflow
from kubeflow import Fault as KubeflowFault
from kubeflow_checks import RefusalError
from kubernetes_api import FakeKubernetes, Fault, node, thing
from kubernetes_cluster import GPU_TAINT, L4, furnished, running

from components import storage
from components.data import fashion_mnist
from pipelines.cli.main import main
from pipelines.compile.check_result import CheckResult
from pipelines.local import machine

HEAD = {"labels": {"pipeline/runid": "8a7c1f0e", "pipelines.kubeflow.org/v2_component": "true"}}
NODE_NAME = "workflows.argoproj.io/node-name"
SPOT = {"cloud.google.com/gke-spot": "true"}
MACHINE = {"python", "kfp", "lock file", "disk"}


@pytest.fixture
def kubeflow() -> Iterator[FakeKubeflow]:
    with FakeKubeflow() as server:
        yield server


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKubernetes]:
    with furnished() as server:
        server.add(controller("OnTransientError"))
        monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig(tmp_path)))
        yield server


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kubeflow: FakeKubeflow) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SUANLI_TIMEOUT", "1")
    # Cloud Storage is tried in tests/pipelines/cluster/test_preflight.py.
    monkeypatch.setattr(storage, "missing_rights", lambda uri: {})
    for name in ("SUANLI_HOST", "KUBECONFIG", "SUANLI_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "targets.toml").write_text(team_target.text(kubeflow.host))
    return tmp_path


Told = Callable[..., dict[str, CheckResult]]


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    """Runs the command and returns its results by what they are about; an earlier one of that name comes first."""

    def run(*arguments: str, code: int = 0) -> dict[str, CheckResult]:
        assert main(["doctor", "--json", *(arguments or ("--target", "gke"))]) == code
        found = [CheckResult(**one) for one in json.loads(capsys.readouterr().out)]
        assert all(one.advice for one in found if one.level != "ok"), found
        return {one.what: one for one in found}

    return run


def controller(policy: str) -> dict[str, Any]:
    defaults = f"spec: {{templateDefaults: {{retryStrategy: {{limit: '2', retryPolicy: {policy}}}}}}}" if policy else ""
    return thing("ConfigMap", "workflow-controller-configmap", data={"workflowDefaults": defaults})


def of_cluster(found: dict[str, CheckResult]) -> dict[str, str]:
    """What is said behind the last line about this machine."""
    names = list(found)
    return {what: found[what].found for what in names[names.index("disk") + 1 :]}


def test_without_a_name_of_a_cluster_only_this_machine_is_looked_at(
    cluster: FakeKubernetes, told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--json"]) == 0
    found = {one["what"] for one in json.loads(capsys.readouterr().out)}
    assert found >= MACHINE and "cluster" not in found and not cluster.requests


def test_a_cluster_that_has_everything_is_ok_in_every_line(
    cluster: FakeKubernetes, kubeflow: FakeKubeflow, told: Told
) -> None:
    found = told()
    assert of_cluster(found) == {
        "roots": "gs://team/data, gs://team/checkpoints, gs://team/registry",
        "bucket team": "you may list, write, read and remove below gs://team/data, gs://team/checkpoints, "
        "gs://team/registry",
        "server": f"{kubeflow.host}, single-user",
        "Kubeflow": "2.17.0",
        "sign-in": "runs can be listed",
        "cluster": f"here at {cluster.host}, {cluster.version}",
        "rights": "all 14 that submit uses",
        "namespace kubeflow": "exists",
        "service account pipeline-runner": "exists, bound to no Google account by name",
        "pipeline root": "gs://team/kfp",
        "retries": "retryPolicy OnTransientError in workflow-controller-configmap: a preempted step is retried",
        "nodes l4": "1 ready, 1 nvidia.com/gpu free of 1",
        "nodes without accelerators": "1 ready",
        "waiting": "no step of a run in kubeflow waits for a node, an image or a quota",
    }
    assert {one.level for one in found.values()} == {"ok"}
    assert {request.line.split()[0] for request in kubeflow.requests} == {"GET"}


def test_every_line_is_printed_for_people_too(cluster: FakeKubernetes, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.deny("list nodes")
    assert main(["doctor", "--target", "gke"]) == 0
    out, err = capsys.readouterr()
    assert "warn  right to list nodes in the cluster: missing; not checked: whether a node fits\n" in out
    assert "ok    python: " in out and err == ""


def lose(what: str) -> Callable[[FakeKubernetes], None]:
    def act(cluster: FakeKubernetes) -> None:
        group, plural, namespace, name = what.split("/")
        del cluster.objects[group, plural, namespace, name]

    return act


def deny(*rights: str) -> Callable[[FakeKubernetes], None]:
    return lambda cluster: cluster.deny(*rights)


def add(*objects: dict[str, Any]) -> Callable[[FakeKubernetes], None]:
    return lambda cluster: cluster.add(*objects)


def condition(name: str, spec: dict[str, Any], **status: Any) -> dict[str, Any]:
    found = node(name, L4, GPU_TAINT, gpu="1")
    return {**found, "spec": {**found["spec"], **spec}, "status": {**found["status"], **status}}


def quota(hard: str, used: str) -> dict[str, Any]:
    key = "requests.nvidia.com/gpu"
    return thing(
        "ResourceQuota", "chips", spec={"hard": {key: hard}}, status={"hard": {key: hard}, "used": {key: used}}
    )


NOT_READY = [{"type": "Ready", "status": "Unknown"}]
QUEUE = thing("LocalQueue", "train", api="kueue.x-k8s.io/v1beta2", spec={"clusterQueue": "gpus"})
AUTOSCALER = thing(
    "ConfigMap",
    "cluster-autoscaler-status",
    "kube-system",
    data={"status": "nodeGroups: [{name: a/b/t4-grp, health: {cloudProviderTarget: 0, maxSize: 4}}]"},
)
CHANGED: list[tuple[str, Callable[[FakeKubernetes], None], str, str, str]] = [
    ("fail", lose("/namespaces//kubeflow"), "namespace kubeflow", "does not exist", "--namespace"),
    (
        *("fail", lose("/serviceaccounts/kubeflow/pipeline-runner"), "service account pipeline-runner"),
        *("does not exist in kubeflow", "give the target another"),
    ),
    ("ok", deny("list pods"), "nodes l4", "1 ready, 1 nvidia.com/gpu", ""),
    ("warn", deny("list events in kubeflow"), "right to list events in kubeflow", "missing", "autoscaler"),
    ("warn", add(controller("OnError")), "retries", "spot node is shut down is not retried", "retry-on-preemption"),
    ("warn", add(controller("")), "retries", "no retryPolicy, so OnFailure", "retry-on-preemption"),
    ("ok", add(controller("Always")), "retries", "retried, and so is a step that fails by itself", ""),
    ("warn", add(controller("Allways")), "retries", "Argo knows no such policy", "retry-on-preemption"),
    (
        *("warn", add(condition("gke-l4-0", {"unschedulable": True})), "nodes l4"),
        *("0 ready, 1 cordoned (gke-l4-0)", "kubectl uncordon gke-l4-0"),
    ),
    (
        *("warn", add(condition("gke-l4-0", {}, conditions=NOT_READY)), "nodes l4"),
        *("0 ready, 1 not ready (gke-l4-0)", "kubectl describe node gke-l4-0"),
    ),
    ("warn", add(node("gke-l4-0", L4, GPU_TAINT)), "nodes l4", "no accelerator on offer", "device plugin"),
    ("ok", add(node("gke-spot", {**L4, **SPOT}, GPU_TAINT, gpu="1")), "nodes l4:spot", "1 ready", ""),
    ("ok", add(running("busy", "gke-l4-0", gpu="1")), "nodes l4", "0 nvidia.com/gpu free of 1", ""),
    (
        *("warn", add(node("old", {"cloud.google.com/gke-accelerator": "nvidia-tesla-k80"}, gpu="1"))),
        *("nodes in no row (unknown machine with nvidia-tesla-k80)", "1 ready", "accelerators.toml"),
    ),
    ("warn", lose("/nodes//gke-l4-0"), "nodes with accelerators", "none", "suanli nodepool"),
    ("ok", add(AUTOSCALER), "nodes at zero", "t4-grp (0 of 4)", ""),
    ("ok", add(quota("4", "1")), "quota chips", "requests.nvidia.com/gpu: 3 nvidia.com/gpu left of 4", ""),
    ("warn", add(quota("4", "4")), "quota chips", "0 nvidia.com/gpu left of 4", "are not admitted until others end"),
    ("fail", add(QUEUE), "queue train", "its cluster queue gpus does not exist", ""),
]


@pytest.mark.parametrize(
    ("level", "change", "what", "words", "advice"), CHANGED, ids=[f"{a[2]} {a[3]}" for a in CHANGED]
)
def test_what_is_not_as_it_should_be_has_a_line(
    level: str,
    change: Callable[[FakeKubernetes], None],
    what: str,
    words: str,
    advice: str,
    cluster: FakeKubernetes,
    told: Told,
) -> None:
    change(cluster)
    result = told(code=int(level == "fail"))[what]
    assert result.level == level and words in result.found and advice in result.advice, result


def test_a_schedule_that_the_server_does_not_list_is_told_with_what_removes_it(
    cluster: FakeKubernetes, kubeflow: FakeKubeflow, told: Told
) -> None:
    body = {"display_name": "nightly", "max_concurrency": "1", "pipeline_version_reference": {"pipeline_id": "p"}}
    body["trigger"] = {"cron_schedule": {"cron": "0 0 3 * * *"}}
    spec = {"root": {}, "pipelineInfo": {"name": "small"}}
    kubeflow.versions["v"] = {"pipeline_id": "p", "pipeline_version_id": "v", "pipeline_spec": spec}
    kubeflow.create_recurring_run(body)
    with pytest.raises(RefusalError, match="Data too long"):
        kubeflow.create_recurring_run({**body, "description": "x" * 256})
    for uid, item in kubeflow.objects.items():
        name, api = item["metadata"]["name"], "kubeflow.org/v1beta1"
        cluster.add(thing("ScheduledWorkflow", name, api=api, metadata={"name": name, "uid": uid}))
    left = next(
        item["metadata"]["name"] for uid, item in kubeflow.objects.items() if uid not in kubeflow.recurring_runs
    )
    (result,) = (result for what, result in told().items() if what.startswith("schedule object"))
    assert (result.level, result.what) == ("warn", f"schedule object {left}")
    assert result.advice == f"kubectl delete scheduledworkflow {left} --namespace kubeflow"
    cluster.deny("list scheduledworkflows.kubeflow.org in kubeflow")
    assert not any(what.startswith("schedule object") for what in told())


def test_what_waits_is_told_in_the_words_of_submit(cluster: FakeKubernetes, told: Told) -> None:
    message = "0/2 nodes are available: 2 Insufficient nvidia.com/gpu."
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    head = {**HEAD, "annotations": {NODE_NAME: "digits-x.root.train.executor"}}
    spec = {"containers": [{"name": "main", "resources": {}}]}
    cluster.add(
        thing("Pod", "one", metadata=head, spec=spec, status={"phase": "Pending", "conditions": [unscheduled]}),
        thing("Pod", "two", metadata=HEAD, spec={**spec, "nodeName": "gke-cpu-0"}, status={"phase": "Succeeded"}),
    )
    result = told()["train of run 8a7c1f0e"]
    assert result.level == "warn" and "waiting" not in told()
    assert result.found == f"no node of 2 fits: 2 with too little nvidia.com/gpu free (the scheduler: {message})"


def test_without_any_right_each_missing_one_is_a_line_and_nothing_fails(cluster: FakeKubernetes, told: Told) -> None:
    cluster.deny("*")
    found = told()
    missing = [what for what, one in found.items() if one.found == "missing"]
    assert len(missing) == 14 and "right to list workflows.argoproj.io in kubeflow" in missing
    assert not any("cluster-autoscaler" in what or "workflow-controller" in what for what in found)


@pytest.mark.parametrize(
    ("fault", "what", "words"),
    [
        (KubeflowFault("GET healthz", act="hang", times=9), "server", "did not answer within 1 s"),
        (KubeflowFault("GET healthz", status=401, times=9), "server", "refuses the credentials (401)"),
        (KubeflowFault("GET runs", status=401, times=9), "sign-in", "refuses the credentials (401)"),
        (KubeflowFault("GET runs", status=403, times=9), "sign-in", "no right to list runs in namespace kubeflow"),
        (KubeflowFault("GET healthz", body="<html>Sign in</html>", status=200, times=9), "server", "is not JSON"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_kubeflow_server_that_refuses_is_one_line_and_the_others_are_kept(
    fault: KubeflowFault, what: str, words: str, cluster: FakeKubernetes, kubeflow: FakeKubeflow, told: Told
) -> None:
    kubeflow.inject(fault)
    found = told(code=1)
    assert [(one.what, words in one.found) for one in found.values() if one.level == "fail"] == [(what, True)]
    assert "nodes l4" in found and set(found) >= MACHINE


def test_a_kubeflow_server_that_is_too_old_or_does_not_say_is_told(cluster: FakeKubernetes, told: Told) -> None:
    with FakeKubeflow(tag="2.3.0") as old:
        found = told("--host", old.host, code=1)
        assert found["Kubeflow"].level == "fail" and "2.5.0 or newer is needed" in found["Kubeflow"].found
        assert found["sign-in"].level == "ok"
    with FakeKubeflow(tag="", multi_user=True) as silent:
        found = told("--host", silent.host, "--namespace", "kubeflow")
        assert found["Kubeflow"].level == "warn" and "multi-user, runs in kubeflow" in found["server"].found


@pytest.mark.parametrize(
    ("fault", "words", "kept"),
    [
        (Fault("/version", 401), "refuses the credentials of the context here (401)", set()),
        (Fault("/version", "html"), "is not a Kubernetes API", set()),
        (Fault("/version", "hang"), "nothing within 5 s", set()),
        (Fault("selfsubjectaccessreviews", "drop"), "the connection was dropped", set()),
        (Fault("/api/v1/nodes", 500), "answers 500 for /api/v1/nodes", {"namespace kubeflow", "retries"}),
        (Fault("/namespaces/kubeflow/pods", "drop"), "the connection was dropped", {"nodes l4", "retries"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_cluster_that_falls_silent_is_one_line_and_the_others_are_kept(
    fault: Fault, words: str, kept: set[str], cluster: FakeKubernetes, told: Told
) -> None:
    cluster.faults.append(fault)
    began = time.monotonic()
    found = told(code=1)
    assert time.monotonic() - began < 10
    assert [(one.what, words in one.found) for one in found.values() if one.level == "fail"] == [("cluster", True)]
    assert set(found) >= MACHINE | kept | {"sign-in"}


def test_a_cluster_that_asks_for_a_moment_is_given_it(cluster: FakeKubernetes, told: Told) -> None:
    """A real API server answers so for some seconds where the definition of a resource is new."""
    cluster.faults.append(Fault("/workflows", 429, times=1))
    assert "waiting" in told()
    cluster.faults.append(Fault("/workflows", 429))
    assert "answers 429 for " in told(code=1)["cluster"].found


def test_no_kubeconfig_and_no_host_are_warnings(told: Told, here: Path) -> None:
    found = told("--namespace", "kubeflow")
    assert found["server"].level == "warn" and "none was named" in found["server"].found
    assert found["cluster"].level == "warn" and "no kubeconfig" in found["cluster"].found


def test_a_root_that_is_no_bucket_is_a_warning(told: Told, here: Path, cluster: FakeKubernetes) -> None:
    path = here / "targets.toml"
    path.write_text(path.read_text().replace("gs://team/checkpoints", "/checkpoints"))
    found = told()
    assert found["checkpoint_root"].level == "warn" and "roots" not in found


def test_the_environment_names_a_server_as_well(
    told: Told, cluster: FakeKubernetes, kubeflow: FakeKubeflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUANLI_HOST", kubeflow.host)
    assert told("--runs", "elsewhere")["server"].found == f"{kubeflow.host}, single-user"


def test_a_broken_kubeconfig_is_one_line(told: Told, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "broken").write_text("clusters: [")
    monkeypatch.setenv("KUBECONFIG", str(here / "broken"))
    found = told(code=1)
    assert found["cluster"].level == "fail" and "is not a usable kubeconfig" in found["cluster"].found
    assert "\n" not in found["cluster"].found and found["sign-in"].level == "ok"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--target", "gkee"), "unknown target 'gkee'; did you mean gke?"),
        (("--host", "http://me:pw@x"), "--host: must not hold a user name or password"),
        (("--kube-context", "her"), "no context 'her' in"),
        (("--target", "gke", "--kube-context", "her"), "no context 'her' in"),
        (("--hots", "x"), "No such option"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
@pytest.mark.usefixtures("cluster")
def test_a_bad_option_is_one_line_before_anything_is_looked_at(
    arguments: tuple[str, ...], said: str, kubeflow: FakeKubeflow, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", *arguments]) == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"error: {said}") and err.count("\n") == 1 and out == ""
    assert not kubeflow.requests


def test_doctor_looks_at_everything(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found: list[dict[str, Any]] = json.loads(answer(capsys, "doctor", "--json"))
    looked_at = {result["what"] for result in found}
    assert {"python", "kfp", "keras", "lock file", "fashion_mnist", "processor", "memory", "disk"} <= looked_at
    assert all(result["advice"] for result in found if result["level"] != "ok")


def test_doctor_says_where_data_are_that_can_be_installed_or_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fashion_mnist, "FOLDER", tmp_path)
    found = {one["what"]: one for one in json.loads(answer(capsys, "doctor", "--json"))}
    assert (found["fashion_mnist"]["level"], found["fashion_mnist"]["found"]) == ("warn", "not installed")
    assert "make data" in found["fashion_mnist"]["advice"]
    for split in fashion_mnist.FILES:
        for what in ("images-idx3", "labels-idx1"):
            fashion_mnist._path(split, what).touch()
    found = {one["what"]: one for one in json.loads(answer(capsys, "doctor", "--json"))}
    assert (found["fashion_mnist"]["level"], found["fashion_mnist"]["found"]) == ("ok", str(tmp_path))


def test_doctor_finds_a_missing_package_and_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(machine, "STEPS_NEED", {"no_such_package": "no-such-package"})
    assert main(["doctor"]) == 1
    line = next(line for line in capsys.readouterr().out.splitlines() if "no-such-package" in line)
    assert line.startswith("fail") and "make setup" in line
