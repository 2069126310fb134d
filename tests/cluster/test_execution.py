"""Pods whose containers run: each compiled step executes where the real scheduler put it, and ends as on a cluster."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gke
import node_agent
import pytest
import steps
from api import eventually, names
from clusters import Cluster
from execution import FALLBACK, Run, finished, path_to, terminated
from node_agent import Agent
from steps import CATALOG

from components.core.errors import EXIT_CODES
from components.steps import STEPS
from pipelines.cluster.kube import pod_failure
from pipelines.hardware.catalog.row import SPOT_LABEL
from pipelines.hardware.catalog.shapes import GPU_LABEL, TPU_LABEL
from pipelines.hardware.ladder import Rung
from pipelines.local import processes

Json = dict[str, Any]
SPOT = Rung(CATALOG["cpu-8"], "spot")
L4 = Rung(CATALOG["l4"])
SETTINGS = ("training.epochs=3", 'export.formats=["litert"]', "export.timing_seconds=0.05")


@pytest.fixture(scope="module")
def agent(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """An agent for every node without accelerators and for the one of L4, among kwok's nodes of every other pool."""
    with node_agent.running(cluster.api, tmp_path_factory.mktemp("node")) as found:
        cluster.furnish([node_agent.node(each) if runs_here(each) else each for each in gke.everything(CATALOG)])
        yield found
        cluster.furnish([])


def runs_here(node: Json) -> bool:
    return node["metadata"]["name"] == gke.node(L4)["metadata"]["name"] or not accelerated(node)


def accelerated(node: Json) -> bool:
    return bool({GPU_LABEL, TPU_LABEL} & node["metadata"]["labels"].keys())


# --- the pipeline's own steps ----------------------------------------------------------------------------------------


def here(runs: Path) -> Json:
    """The record of the same run on this machine alone."""
    changes = [word for change in SETTINGS for word in ("--set", change)]
    command = [sys.executable, "-m", "pipelines", "run", "digits", "--runs", str(runs), "--json", *changes]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.slow
def test_each_step_runs_where_the_scheduler_put_it_and_the_metrics_are_those_of_a_local_run(
    cluster: Cluster, agent: Agent, empty: str, tmp_path: Path
) -> None:
    run = Run(cluster, empty, tmp_path / "cluster", SPOT, SETTINGS)
    nodes = {each["metadata"]["name"]: each for each in cluster.nodes()}
    on = {}
    for step in STEPS:
        pod = run.step(step)
        assert (step, pod["status"]["phase"]) == (step, "Succeeded"), terminated(pod)["message"]
        on[step] = pod["spec"]["nodeName"]
    assert on.pop("train") == gke.node(SPOT)["metadata"]["name"]
    others = [nodes[name] for name in on.values()]
    assert not any(accelerated(node) or SPOT_LABEL in node["metadata"]["labels"] for node in others)
    metrics = json.loads(Path(run.launcher.known["metrics"]["uri"]).read_text())
    local = here(tmp_path / "runs")
    assert run.launcher.known["Output"] is local["accepted"] is True
    assert untimed(metrics) == untimed(local["metrics"]) and metrics["accuracy"] > 0.9


def untimed(metrics: Json) -> Json:
    return {name: value for name, value in metrics.items() if not name.startswith("latency")}


def test_a_step_without_the_accelerator_that_was_promised_fails_with_its_one_line(
    cluster: Cluster, agent: Agent, empty: str, tmp_path: Path
) -> None:
    run = Run(cluster, empty, tmp_path, L4, SETTINGS)
    run.step("prepare")
    pod = run.step("train")
    assert pod["spec"]["nodeName"] == gke.node(L4)["metadata"]["name"]
    assert pod["status"]["phase"] == "Failed" and terminated(pod)["exitCode"] == EXIT_CODES["resources"]
    told = pod_failure.pod_failure("train", pod)
    assert told and (told.step, told.kind) == ("train", "resources")
    assert told.message.startswith("1 x nvidia.com/gpu was promised") and told.advice.startswith("check the image")


# --- how a container ends --------------------------------------------------------------------------------------------


def pod_of(namespace: str, command: Sequence[str], *, finalizers: Sequence[str] = (), **spec: Any) -> Json:
    """A pod for one of the agent's nodes."""
    container = {"name": "main", "image": "none", "command": list(command), **FALLBACK}
    container["env"] = [{"name": "GREETING", "value": "hello"}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "one", "namespace": namespace, "finalizers": list(finalizers)},
        "spec": {
            "restartPolicy": "Never",
            "nodeSelector": {node_agent.LABEL: node_agent.NAME},
            "containers": [container],
            **spec,
        },
    }


def shell(script: str) -> list[str]:
    return ["sh", "-c", script]


ENDINGS: dict[str, tuple[list[str], str, int, str, str]] = {
    "well": (shell("echo done"), "Succeeded", 0, "Completed", ""),
    "with an error": (shell("echo one; echo error: two >&2; exit 3"), "Failed", 3, "Error", "one\nerror: two"),
    "with a message": (shell("echo said > dev/termination-log; echo more; exit 1"), "Failed", 1, "Error", "said\n"),
    "by a signal": (shell("kill -9 $$$$"), "Failed", 137, "Error", ""),
    "with its variables": (shell('test $(GREETING)$(echo !) = "$GREETING!"'), "Succeeded", 0, "Completed", ""),
    "before it began": (["no-such-program"], "Failed", 128, "StartError", "No such file or directory"),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_pods_status_tells_how_its_container_ended(ending: str, cluster: Cluster, agent: Agent, empty: str) -> None:
    command, phase, code, reason, message = ENDINGS[ending]
    cluster.api.create(pod := pod_of(empty, command))
    found = finished(cluster, pod)
    told = terminated(found)
    assert (found["status"]["phase"], told["exitCode"], told["reason"]) == (phase, code, reason)
    assert message in told.get("message", "") if message else "message" not in told


def test_a_pod_that_passes_its_deadline_fails_for_that_reason(cluster: Cluster, agent: Agent, empty: str) -> None:
    cluster.api.create(pod := pod_of(empty, ["sleep", "60"], activeDeadlineSeconds=1))
    found = finished(cluster, pod)
    assert (found["status"]["phase"], found["status"]["reason"]) == ("Failed", "DeadlineExceeded")
    assert terminated(found)["exitCode"] == 143


# --- deletion --------------------------------------------------------------------------------------------------------

OBEYS = "trap 'echo asked; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
REFUSES = "trap '' TERM; echo ready; while :; do sleep 0.05; done"


def started(cluster: Cluster, agent: Agent, pod: Json) -> tuple[str, int]:
    """Have a pod made and run until it says so; its identity and its session."""
    (made,) = cluster.api.create(pod)
    uid = made["metadata"]["uid"]
    eventually(lambda: "ready" in agent.log(uid), bool)
    process = agent.works[uid].containers[0].process
    assert process
    return uid, process.pid


@pytest.mark.parametrize(("script", "grace", "code"), [(OBEYS, 30, 0), (REFUSES, 1, 137)])
def test_a_deleted_pod_is_asked_to_end_and_killed_after_its_grace(
    script: str, grace: int, code: int, cluster: Cluster, agent: Agent, empty: str
) -> None:
    pod = pod_of(empty, shell(script), finalizers=["suanli.test/look"], terminationGracePeriodSeconds=grace)
    _, session = started(cluster, agent, pod)
    path, began = path_to(empty, "one"), time.monotonic()
    try:
        cluster.api.call("DELETE", path)
        found = finished(cluster, pod)
    finally:
        cluster.api.merge(path, {"metadata": {"finalizers": None}})
    assert (time.monotonic() - began >= grace) == (code == 137)
    assert terminated(found)["exitCode"] == code and processes.members(session) == {}
    eventually(lambda: cluster.pods(empty), lambda left: not left)


def test_a_pod_that_is_deleted_at_once_leaves_no_process(cluster: Cluster, agent: Agent, empty: str) -> None:
    _, session = started(cluster, agent, pod_of(empty, shell(REFUSES)))
    cluster.clear(empty)
    eventually(lambda: processes.members(session), lambda left: not left)


def test_what_a_container_leaves_behind_ends_with_it(cluster: Cluster, agent: Agent, empty: str) -> None:
    waits = "until [ -e end ]; do sleep 0.05; done"
    uid, session = started(cluster, agent, pod := pod_of(empty, shell(f"({REFUSES}) & {waits}")))
    (agent.folder / uid / "main/end").touch()
    assert finished(cluster, pod)["status"]["phase"] == "Succeeded"
    assert processes.members(session) == {}


def test_a_more_important_pod_takes_the_place_of_a_running_one(
    cluster: Cluster, agent: Agent, empty: str, important: str
) -> None:
    """The scheduler's own preemption, on a machine that has room for one of the two."""
    first, second = (steps.manifest(steps.train(SPOT), empty, "run", number) for number in range(2))
    first["spec"]["containers"][0]["command"] = shell(OBEYS)
    second["spec"]["containers"][0]["command"] = shell("echo done")
    uid, _ = started(cluster, agent, first)
    cluster.api.create({**second, "spec": {**second["spec"], "priorityClassName": important}})
    found = finished(cluster, second)
    assert (found["status"]["phase"], found["spec"]["nodeName"]) == ("Succeeded", gke.node(SPOT)["metadata"]["name"])
    assert agent.log(uid).splitlines()[-1] == "asked"
    assert names(cluster.pods(empty)) == {second["metadata"]["name"]}


@pytest.fixture
def important(cluster: Cluster) -> Iterator[str]:
    """A priority above that of a pod that names none."""
    path, name = "/apis/scheduling.k8s.io/v1/priorityclasses", "suanli-test-important"
    body = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": 1000}
    cluster.api.call("POST", path, body)
    yield name
    cluster.api.delete(f"{path}/{name}")


def test_no_process_is_left_when_something_fails_meanwhile(cluster: Cluster, empty: str, tmp_path: Path) -> None:
    (own, *_) = gke.default_pool()
    own["metadata"]["name"] = "gke-second-0"
    pod = pod_of(empty, shell(REFUSES), nodeSelector={node_agent.LABEL: "second"})
    with pytest.raises(RuntimeError, match="fails"), node_agent.running(cluster.api, tmp_path, "second") as second:
        cluster.api.create(node_agent.node(own, "second"))
        _, session = started(cluster, second, pod)
        raise RuntimeError("a test that fails")
    cluster.api.delete("/api/v1/nodes/gke-second-0")
    assert processes.members(session) == {}
