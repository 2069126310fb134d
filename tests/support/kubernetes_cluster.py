"""What the tests of a cluster have in common: pods before and after they are submitted, and a furnished cluster."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kubernetes_api import FakeKubernetes, node, thing

from pipelines.cluster.kube import submit_checks
from pipelines.cluster.kube.access import Access, connect
from pipelines.compile.check_result import CheckResult
from pipelines.hardware import catalog, ladder, placement_parameters
from pipelines.hardware.pods import Pod

L4 = {"cloud.google.com/gke-accelerator": "nvidia-l4", "node.kubernetes.io/instance-type": "g2-standard-8"}
GPU_TAINT = ("nvidia.com/gpu=present:NoSchedule",)
QUEUED = {"kueue.x-k8s.io/queue-name": "train"}


def step(name: str = "train", **fields: Any) -> Pod:
    """A step's pod that asks for nothing but what is given."""
    empty: dict[str, Any] = {"node_selector": {}, "tolerations": [], "limits": {}, "requests": {}}
    return Pod(name, "team/python-cpu:0", **{**empty, **fields})


def placed(accelerator: str, *, autopilot: bool = False, **changes: Any) -> Pod:
    """The pod that a catalog's row makes of train."""
    values = placement_parameters.for_rungs(ladder.parse(accelerator, catalog.load()), autopilot=autopilot)
    kind = values["accelerator_type"]
    fields = {
        "node_selector": values["node_selector"],
        "tolerations": values["tolerations"],
        "limits": {kind: values["accelerator_count"]} if kind else {},
        "requests": {"cpu": values["train_cpu"], "memory": values["train_memory"]},
    }
    return step(**{**fields, **changes})


TRAIN = placed("l4", requests={"cpu": "6", "memory": "20Gi"}, labels=QUEUED)


def running(name: str, where: str, owner: str = "ReplicaSet", phase: str = "Running", **asked: str) -> dict[str, Any]:
    """A pod on a node that has asked for so much; ``gpu`` stands for its resource."""
    requests = {{"gpu": "nvidia.com/gpu"}.get(key, key): value for key, value in asked.items()}
    owners = [{"apiVersion": "apps/v1", "kind": owner, "name": name, "uid": name}]
    containers = [{"name": "main", "resources": {"requests": requests}}]
    return thing(
        "Pod",
        name,
        "other",
        metadata={"ownerReferences": owners},
        spec={"nodeName": where, "containers": containers},
        status={"phase": phase},
    )


@contextmanager
def furnished() -> Iterator[FakeKubernetes]:
    """A cluster that has all that TRAIN needs."""
    with FakeKubernetes() as server:
        server.add(
            thing("Namespace", "kubeflow", "", metadata={"labels": {"team": "vision"}}),
            thing("ServiceAccount", "pipeline-runner"),
            thing("ConfigMap", "kfp-launcher", data={"defaultPipelineRoot": "gs://team/kfp"}),
            node("gke-l4-0", L4, GPU_TAINT, gpu="1"),
            node("gke-cpu-0"),
        )
        yield server


def reach(server: FakeKubernetes, folder: Path, context: str = "", **more: Any) -> Access:
    found = connect(context, environ={"KUBECONFIG": str(server.kubeconfig(folder))}, timeout=2.0, **more)
    assert found
    return found


def check_results(server: FakeKubernetes, folder: Path, *pods: Pod, **asked: Any) -> list[CheckResult]:
    given = {"service_account": "pipeline-runner", "pipeline_root": "gs://team/kfp", **asked}
    return submit_checks.check(reach(server, folder), "kubeflow", pods or (TRAIN,), **given)


def bad(found: list[CheckResult]) -> list[tuple[str, str, str]]:
    return [(one.level, one.what, one.found) for one in found if one.level != "ok"]


def pending_pod(run: str, message: str) -> dict[str, Any]:
    """Train's pod, which cannot be scheduled."""
    return thing(
        "Pod",
        "train-1",
        metadata={
            "labels": {"pipeline/runid": run},
            "annotations": {"workflows.argoproj.io/node-name": "digits.root.train.executor"},
        },
        spec={"containers": [{"name": "main", "resources": {}}]},
        status={
            "phase": "Pending",
            "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}],
        },
    )


def failed_pod(run: str, **terminated: Any) -> dict[str, Any]:
    """Train's pod with its one container ended."""
    main = {"name": "main", "image": "i", "imageID": "", "ready": False, "restartCount": 0}
    status = {"phase": "Failed", "containerStatuses": [{**main, "state": {"terminated": terminated}}]}
    return pending_pod(run, "") | {"status": status}
