import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kubernetes_api import FakeKubernetes, Fault, thing

from components.core.errors import StepError
from pipelines.cluster.kube.access import Access, connect
from pipelines.cluster.kube.stuck import explain, lost_accelerator, pods_of, step_of, stuck

RUN = "8a7c1f0e-0000-4000-8000-000000000001"
FLOW = "training-digits-x7k2p"
NO_PREEMPTION = "preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."


@dataclass(frozen=True)
class Promised:
    step: str
    limits: dict[str, str]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[FakeKubernetes, Access]]:
    with FakeKubernetes() as server:
        access = connect(environ={"KUBECONFIG": str(server.kubeconfig(tmp_path))}, timeout=1.0)
        assert access
        yield server, access


def pod(
    task: str = "root.train.executor", *, run: str = RUN, labels: Any = None, spec: Any = None, **status: Any
) -> Any:
    """A pod as Argo makes it of a Kubeflow run's task."""
    container = {"name": "main", "image": "team/python-gpu:train-0"}
    return thing(
        "Pod",
        f"{FLOW}-{zlib.crc32((task + run).encode())}",
        metadata={
            "labels": {"pipeline/runid": run, "workflows.argoproj.io/workflow": FLOW, **(labels or {})},
            "annotations": {"workflows.argoproj.io/node-name": f"{FLOW}.{task}"},
        },
        spec={"containers": [container], **(spec or {})},
        status={"phase": "Pending", **status},
    )


def unscheduled(message: str, reason: str = "Unschedulable") -> list[dict[str, str]]:
    return [{"type": "PodScheduled", "status": "False", "reason": reason, "message": message}]


def waiting(reason: str, message: str = "") -> list[dict[str, Any]]:
    state = {"waiting": {"reason": reason, **({"message": message} if message else {})}}
    body = {"name": "main", "image": "team/python-gpu:train-0", "imageID": "", "ready": False, "restartCount": 0}
    return [{**body, "state": state}]


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("no nodes available to schedule pods", "the cluster has no node"),
        (
            (
                "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 node(s) didn't match Pod's node "
                f"affinity/selector. {NO_PREEMPTION}"
            ),
            (
                "no node of 3 fits: 1 with a taint that the pod does not tolerate, "
                "2 without the labels that the pod selects"
            ),
        ),
        (
            "0/7 nodes are available: 1 Insufficient nvidia.com/gpu, 6 node(s) didn't match node selector.",
            "no node of 7 fits: 1 with too little nvidia.com/gpu free, 6 without the labels that the pod selects",
        ),
        (
            (
                "0/17 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/ci-builds-worker: "
                "ci-builds-worker}, 2 Insufficient memory, 2 node(s) had untolerated taint "
                "{node-role.kubernetes.io/infra: }. preemption: 0/17 nodes are available: 15 Preemption is not helpful "
                "for scheduling, 2 No preemption victims found for incoming pod.."
            ),
            (
                "no node of 17 fits: 1 with a taint that the pod does not tolerate "
                "(node-role.kubernetes.io/ci-builds-worker=ci-builds-worker), 2 with too little memory free, "
                "2 with a taint that the pod does not tolerate (node-role.kubernetes.io/infra)"
            ),
        ),
        (
            (
                "0/2 nodes are available: 1 node(s) didn't match node selector, 1 node(s) had taint {key1: value1}, "
                "that the pod didn't tolerate."
            ),
            (
                "no node of 2 fits: 1 without the labels that the pod selects, "
                "1 with a taint that the pod does not tolerate (key1=value1)"
            ),
        ),
        (
            "0/1 nodes are available: 1 node(s) had taints that the pod didn't tolerate.",
            "no node of 1 fits: 1 with a taint that the pod does not tolerate",
        ),
        (
            "0/2 nodes are available: 1 Too many pods, 1 node(s) were unschedulable.",
            "no node of 2 fits: 1 with as many pods as they may have, 1 cordoned",
        ),
        (
            "0/4 nodes are available: 4 node(s) had volume node affinity conflict.",
            "no node of 4 fits: 4 in another zone than the pod's volume",
        ),
        (
            "0/4 nodes are available: 4 node(s) did something new.",
            "no node of 4 fits: 4: did something new",
        ),
        ("running PreBind plugin: timed out", "running PreBind plugin: timed out"),
        ("", ""),
    ],
)
def test_a_schedulers_message_is_put_in_words(message: str, told: str) -> None:
    assert explain(message) == told


@pytest.mark.parametrize(
    ("task", "step"),
    [
        ("root.train.executor", "train"),
        ("root.train.executor(1)", "train"),
        ("root.condition-1.export.executor", "export"),
        ("root.for-loop-2.iteration-iterations(0:0).iteration-item.train.executor(0)", "train"),
        ("root.exit-handler-1.onExit.notify.executor", "notify"),
        ("root.train-driver", "train-driver"),
        ("root-driver", "root-driver"),
    ],
)
def test_a_pods_step_is_read_from_argos_name_for_its_node(task: str, step: str) -> None:
    assert step_of(pod(task)) == step


def test_a_pod_without_argos_name_is_called_by_its_own() -> None:
    assert step_of(thing("Pod", "bare", spec={})) == "bare"


def test_only_the_runs_own_pods_are_looked_at(cluster: tuple[FakeKubernetes, Access]) -> None:
    server, access = cluster
    server.add(pod(), pod(run="another", conditions=unscheduled("no nodes available to schedule pods")))
    assert len(pods_of(access, "kubeflow", RUN)) == 1
    assert stuck(access, "kubeflow", RUN) == {}


GATED = {"schedulingGates": [{"name": "kueue.x-k8s.io/admission"}]}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (
            pod(conditions=unscheduled("0/3 nodes are available: 3 Insufficient nvidia.com/gpu.")),
            (
                "no node of 3 fits: 3 with too little nvidia.com/gpu free "
                "(the scheduler: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu.)"
            ),
        ),
        (pod(conditions=unscheduled("something else")), "something else"),
        (
            pod(
                labels={"kueue.x-k8s.io/queue-name": "train"},
                spec=GATED,
                conditions=unscheduled("Scheduling is blocked due to non-empty scheduling gates", "SchedulingGated"),
            ),
            "waiting for quota in the queue train",
        ),
        (
            pod(spec={"schedulingGates": [{"name": "team/gate"}]}, conditions=unscheduled("", "SchedulingGated")),
            "held back by team/gate",
        ),
        (
            pod(containerStatuses=waiting("ImagePullBackOff", 'Back-off pulling image "team/python-gpu:train-0"')),
            (
                "its image cannot be pulled (ImagePullBackOff, team/python-gpu:train-0: "
                'Back-off pulling image "team/python-gpu:train-0")'
            ),
        ),
        (
            pod(initContainerStatuses=waiting("ErrImagePull")),
            "its image cannot be pulled (ErrImagePull, team/python-gpu:train-0)",
        ),
        (
            pod(containerStatuses=waiting("CreateContainerConfigError", 'secret "s3" not found')),
            (
                "a secret or config map that it names is missing (CreateContainerConfigError, team/python-gpu:train-0: "
                'secret "s3" not found)'
            ),
        ),
    ],
    ids=["labels", "other", "kueue", "gate", "image", "init image", "config"],
)
def test_a_pod_that_does_not_start_is_named_with_its_reason(
    cluster: tuple[FakeKubernetes, Access], given: Any, reason: str
) -> None:
    server, access = cluster
    server.add(given)
    assert stuck(access, "kubeflow", RUN) == {"train": reason}


@pytest.mark.parametrize(
    "given",
    [
        pod(),
        pod(containerStatuses=waiting("ContainerCreating"), initContainerStatuses=waiting("PodInitializing")),
        pod(phase="Running"),
        pod(phase="Succeeded", conditions=unscheduled("old")),
        pod(phase="Failed", conditions=unscheduled("old")),
        pod(conditions=[{"type": "PodScheduled", "status": "True"}]),
    ],
    ids=["new", "creating", "running", "done", "failed", "bound"],
)
def test_a_pod_on_its_way_is_not_stuck(cluster: tuple[FakeKubernetes, Access], given: Any) -> None:
    server, access = cluster
    server.add(given)
    assert stuck(access, "kubeflow", RUN) == {}


def event(about: Any, reason: str, message: str, at: str) -> Any:
    return thing(
        "Event",
        f"{about['metadata']['name']}.{reason}",
        involvedObject={"kind": "Pod", "name": about["metadata"]["name"], "namespace": "kubeflow"},
        reason=reason,
        message=message,
        lastTimestamp=at,
        type="Normal",
    )


def test_what_the_autoscaler_says_is_added_the_newest_alone(cluster: tuple[FakeKubernetes, Access]) -> None:
    server, access = cluster
    waits = pod(conditions=unscheduled("no nodes available to schedule pods"))
    server.add(
        waits,
        event(waits, "TriggeredScaleUp", "pod triggered scale-up: [{l4 0->1 (max: 4)}]", "2026-07-26T10:00:00Z"),
        event(waits, "FailedScheduling", "no nodes available to schedule pods", "2026-07-26T10:09:00Z"),
    )
    told = "the autoscaler is adding a node (pod triggered scale-up: [{l4 0->1 (max: 4)}])"
    scheduler = "the cluster has no node (the scheduler: no nodes available to schedule pods)"
    assert stuck(access, "kubeflow", RUN) == {"train": f"{scheduler}; {told}"}
    server.add(event(waits, "FailedScaleUp", "GCE quota exceeded", "2026-07-26T10:05:00Z"))
    assert stuck(access, "kubeflow", RUN)["train"].endswith("could not add a node (GCE quota exceeded)")
    server.deny("list events in kubeflow")
    assert stuck(access, "kubeflow", RUN) == {"train": scheduler}


def test_a_pod_that_a_quota_keeps_out_is_found_in_the_workflow(cluster: tuple[FakeKubernetes, Access]) -> None:
    server, access = cluster
    message = 'pods "training-digits-x7k2p-1" is forbidden: exceeded quota: team, requested: requests.cpu=6'
    states = {
        "a": {"name": f"{FLOW}.root.train.executor", "type": "Pod", "phase": "Pending", "message": message},
        "b": {"name": f"{FLOW}.root.prepare.executor", "type": "Pod", "phase": "Succeeded"},
        "e": {"name": f"{FLOW}.root.export.executor", "type": "Pod", "phase": "Error", "message": message},
        "c": {"name": f"{FLOW}.root.export-driver", "type": "Pod", "phase": "Pending", "message": "Unschedulable"},
        "d": {"name": f"{FLOW}.root", "type": "DAG", "phase": "Running"},
    }
    label = {"labels": {"pipeline/runid": RUN}}
    flow = thing("Workflow", FLOW, api="argoproj.io/v1alpha1", metadata=label, status={"nodes": states})
    server.add(flow)
    assert stuck(access, "kubeflow", RUN) == {"train": f"its pod is not admitted: {message}"}
    server.deny("list workflows.argoproj.io in kubeflow")
    assert stuck(access, "kubeflow", RUN) == {}


def bound(selector: Any = None, limits: Any = None, phase: str = "Running", task: str = "root.train.executor") -> Any:
    container = {"name": "main", "image": "i", "resources": {"limits": limits or {}}}
    spec = {"nodeName": "gke-l4-0", "nodeSelector": selector or {}, "containers": [container, {"name": "wait"}]}
    return pod(task, spec=spec, phase=phase)


GPU, TPU = {"cloud.google.com/gke-accelerator": "nvidia-l4"}, {"cloud.google.com/gke-tpu-accelerator": "tpu-v5p-slice"}


@pytest.mark.parametrize(
    ("given", "promised", "lost"),
    [
        (bound(GPU), None, "with none of the promised nvidia.com/gpu"),
        (bound(TPU), None, "with none of the promised google.com/tpu"),
        (bound(), {"nvidia.com/gpu": "1"}, "with none of the 1 nvidia.com/gpu"),
        (bound(GPU, {"nvidia.com/gpu": "1"}), {"nvidia.com/gpu": "2"}, "with 1 of the 2 nvidia.com/gpu"),
        (bound(GPU, phase="Pending"), None, "with none of the promised nvidia.com/gpu"),
        (bound(GPU, {"nvidia.com/gpu": "1"}), {"nvidia.com/gpu": "1", "cpu": "4"}, ""),
        (bound(GPU, {"nvidia.com/gpu": "1"}), None, ""),
        (bound(), {"cpu": "4"}, ""),
        (bound(), None, ""),
        (bound(GPU, phase="Succeeded"), None, ""),
        (bound(task="root.train-driver"), {"nvidia.com/gpu": "1"}, ""),
        (pod(spec={"nodeSelector": GPU}), None, ""),
    ],
)
def test_a_pod_that_is_bound_without_its_accelerator_is_found(given: Any, promised: Any, lost: str) -> None:
    reason = lost_accelerator(given, promised)
    assert lost in reason
    assert bool(lost) is bool(reason)


def test_a_running_step_without_its_accelerator_is_reported(cluster: tuple[FakeKubernetes, Access]) -> None:
    server, access = cluster
    server.add(bound(), bound(task="root.prepare.executor"))
    assert stuck(access, "kubeflow", RUN) == {}
    found = stuck(access, "kubeflow", RUN, [Promised("train", {"nvidia.com/gpu": "1"}), Promised("prepare", {})])
    assert list(found) == ["train"]
    assert "kubeflow/pipelines#11374" in found["train"]


def test_a_server_that_fails_is_one_line(cluster: tuple[FakeKubernetes, Access]) -> None:
    server, access = cluster
    server.faults.append(Fault("/pods", 500))
    with pytest.raises(StepError, match="answers 500"):
        stuck(access, "kubeflow", RUN)
    server.faults.clear()
    server.deny("list pods in kubeflow")
    with pytest.raises(StepError, match="no right to /api/v1/namespaces/kubeflow/pods"):
        stuck(access, "kubeflow", RUN)


def test_nothing_but_reading_is_ever_asked_of_a_cluster(cluster: tuple[FakeKubernetes, Access]) -> None:
    server, access = cluster
    server.add(pod(conditions=unscheduled("no nodes available to schedule pods")))
    stuck(access, "kubeflow", RUN)
    assert {request.split()[0] for request in server.requests} == {"GET"}
