from pathlib import Path
from typing import Any

import pytest
from kubernetes_api import FakeKubernetes, thing

from components.core import failure
from components.core.failure import Failure
from pipelines.cluster.kube import pod_failure
from pipelines.cluster.kube.access import connect

RUN = "8a7c1f0e-0000-4000-8000-000000000001"
TOLD = Failure("train", "data", "the pictures are upside down", "turn them")
SHUTDOWN = "Pod was terminated in response to imminent node shutdown."
DISRUPTED = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler", "message": "made room"}


def pod(name: str = "one", node: str = "flow.root.train.executor", *, hour: int = 0, **status: Any) -> Any:
    main = {"name": "main", "image": "i", "resources": {"limits": {"memory": "16Gi"}}}
    return thing(
        "Pod",
        name,
        metadata={
            "labels": {"pipeline/runid": RUN},
            "annotations": {"workflows.argoproj.io/node-name": node},
            "creationTimestamp": f"2026-01-01T{hour:02}:00:00Z",
        },
        spec={"containers": [{"name": "wait", "image": "i"}, main]},
        status={"phase": "Failed", **status},
    )


def container(**terminated: Any) -> list[dict[str, Any]]:
    same = {"image": "i", "imageID": "", "ready": False, "restartCount": 0}
    wait = {"name": "wait", **same, "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}
    return [wait, {"name": "main", **same, "state": {"terminated": terminated}}]


def error(code: int, message: str = "") -> dict[str, Any]:
    said = {"message": message} if message else {}
    return {"containerStatuses": container(exitCode=code, reason="Error", **said)}


@pytest.mark.parametrize(
    ("status", "kind", "says"),
    [
        (
            {"containerStatuses": container(exitCode=1, reason="Error", message=failure.termination_message(TOLD))},
            "data",
            TOLD.message,
        ),
        ({"containerStatuses": container(exitCode=137, reason="OOMKilled")}, "memory", "more than its limit of 16Gi"),
        (error(137), "preempted", "killed from outside"),
        ({"reason": "Terminated", "message": SHUTDOWN}, "preempted", "imminent node shutdown"),
        ({"conditions": [DISRUPTED]}, "preempted", "made room"),
        (
            {"reason": "Evicted", "message": "The node was low on resource: memory."},
            "memory",
            "low on resource",
        ),
        ({"reason": "Evicted", "message": "Usage of EmptyDir exceeds; ephemeral-storage"}, "resources", "ephemeral"),
        ({"reason": "DeadlineExceeded", "message": "Pod was active too long"}, "stalled", "its deadline"),
        (
            {"containerStatuses": container(exitCode=1, reason="Error", message="Traceback: boom")},
            "bug",
            "Error (1): Traceback: boom",
        ),
        (error(2), "bug", "exit status 2"),
        ({}, "resources", "never ran"),
    ],
)
def test_a_failed_pod_tells_the_kind_of_its_fault(status: dict[str, Any], kind: str, says: str) -> None:
    found = pod_failure.pod_failure("train", pod(**status))
    assert found is not None and (found.step, found.kind) == ("train", kind) and says in found.message


@pytest.mark.parametrize("phase", ["Succeeded", "Running", "Pending"])
def test_a_pod_that_has_not_failed_tells_nothing(phase: str) -> None:
    assert pod_failure.pod_failure("train", pod() | {"status": {"phase": phase}}) is None


def test_the_last_attempt_is_what_counts(tmp_path: Path) -> None:
    lost = {"reason": "Terminated", "message": SHUTDOWN}
    told, done = error(1, failure.termination_message(TOLD)), {"phase": "Succeeded"}
    with FakeKubernetes() as server:
        server.add(
            pod("train-2", "flow.root.train.executor(1)", hour=2, **told),
            pod("train-1", "flow.root.train.executor(0)", **lost),
            pod("prepare-1", "flow.root.prepare.executor(0)", **lost),
            pod("prepare-2", "flow.root.prepare.executor(1)", hour=2) | {"status": done},
        )
        access = connect(environ={"KUBECONFIG": str(server.kubeconfig(tmp_path))}, timeout=1.0)
        assert access
        assert pod_failure.failures(access, "kubeflow", RUN) == {"train": TOLD}
