"""Why a run's pods failed: the step's termination message, or the kubelet's reason.

Source: Kubernetes 1.35, pkg/kubelet (eviction/helpers.go, nodeshutdown; kuberuntime: OOMKilled, Error, StartError)
and k8s.io/api/core/v1 (DisruptionTarget).
"""

from collections.abc import Mapping
from typing import Any

from components.core import failure
from components.core.errors import BUG
from components.core.failure import Failure
from pipelines.cluster.kube import stuck
from pipelines.cluster.kube.access import Access

MAIN = "main"
OOM_KILLED = "killed because it ran out of memory (OOMKilled)"
SIGKILLED = 137
AGAIN = "submit it again: finished steps come from the cache, train resumes from its checkpoint"
SMALLER = "use a smaller training.batch_size, or ask for nodes with more memory"


def failures(cluster: Access, namespace: str, run_id: str) -> dict[str, Failure]:
    """Step -> why its last attempt failed; empty if its pods are gone already.

    Raises:
        StepError: the cluster cannot be reached, or the pods may not be listed.
    """
    newest: dict[str, Mapping[str, Any]] = {}
    pods = stuck.pods_of(cluster, namespace, run_id)
    for pod in sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", ""))):
        newest[stuck.step_of(pod)] = pod
    return {step: failed for step, pod in newest.items() if (failed := pod_failure(step, pod))}


def pod_failure(step: str, pod: Mapping[str, Any]) -> Failure | None:
    """Why a pod failed; None if it has not."""
    status = pod.get("status", {})
    if status.get("phase") != "Failed":
        return None
    states = [one.get("state", {}) for one in status.get("containerStatuses", ()) if one.get("name") == MAIN]
    # How the step's own container ended; empty if it never ran.
    main: Mapping[str, Any] = next((state["terminated"] for state in states if "terminated" in state), {})
    reported = failure.read(str(main.get("message", "")))
    return reported or _removed(step, status) or _killed(step, pod, main) or _other(step, main)


def from_message(step: str, message: str) -> Failure:
    """A failure by Argo's message of a node alone, which ends in the container's last words."""
    reported = failure.read(message[message.find("{") :] if "{" in message else "")
    if reported:
        return reported
    if "OOMKilled" in message:
        return Failure(step, "memory", OOM_KILLED, SMALLER)
    return Failure(step, BUG, message or "the server gives no reason: see the step's log there")


def _removed(step: str, status: Mapping[str, Any]) -> Failure | None:
    """The pod was ended from outside: by its node, by the scheduler, or at its deadline."""
    reason, message = str(status.get("reason", "")), " ".join(str(status.get("message", "")).split()).rstrip(".")
    if reason == "DeadlineExceeded":
        return Failure(step, "stalled", "it was ended at its deadline", "give a longer --timeout")
    if reason == "Evicted" and "low on resource: memory" in message:
        return Failure(step, "memory", f"evicted: {message}", SMALLER)
    if reason == "Evicted" and ("ephemeral-storage" in message or "disk" in message.lower()):
        return Failure(step, "resources", f"evicted: {message}", "ask for nodes with a larger disk")
    conditions = [one for one in status.get("conditions", ()) if one.get("type") == "DisruptionTarget"]
    disruption: Mapping[str, Any] = next((one for one in conditions if one.get("status") == "True"), {})
    if reason in {"Evicted", "NodeShutdown", "Terminated", "Shutdown", "Preempting"} or disruption:
        why = message or str(disruption.get("message", "")) or reason or str(disruption.get("reason", ""))
        return Failure(step, "preempted", f"its pod was taken away: {why}", AGAIN)
    return None


def _killed(step: str, pod: Mapping[str, Any], main: Mapping[str, Any]) -> Failure | None:
    if main.get("reason") == "OOMKilled":
        limit = next(
            (
                str(one.get("resources", {}).get("limits", {}).get("memory", ""))
                for one in pod.get("spec", {}).get("containers", ())
                if one.get("name") == MAIN
            ),
            "",
        )
        bound = f"its limit of {limit}" if limit else "its node has"
        return Failure(step, "memory", f"{OOM_KILLED}: it needed more than {bound}", SMALLER)
    if main.get("exitCode") == SIGKILLED:
        return Failure(step, "preempted", "killed from outside (SIGKILL)", AGAIN)
    return None


def _other(step: str, main: Mapping[str, Any]) -> Failure:
    if not main:
        return Failure(step, "resources", "its container never ran", "look at the pod's events: kubectl describe pod")
    reason, code = main.get("reason") or "Error", main.get("exitCode", "?")
    message = " ".join(str(main.get("message", "")).split())[-300:]
    text = f"{reason} ({code}): {message}" if message else f"exit status {code} ({reason}) without a message"
    return Failure(step, BUG, text, "see the step's log")
