"""Why a run's pods failed, as their own status tells: the step's last words, or the kubelet's reason.

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
KILLED = 137
AGAIN = "submit it again: finished steps come from the cache, train goes on from its checkpoint"
SMALLER = "use a smaller training.batch_size, or ask for nodes with more memory"


def failures(way: Access, namespace: str, run_id: str) -> dict[str, Failure]:
    """Step -> why the last attempt at it failed; empty where its pods are gone already.

    Raises:
        StepError: the cluster cannot be reached, or the pods may not be listed.
    """
    newest: dict[str, Mapping[str, Any]] = {}
    for pod in sorted(stuck.pods_of(way, namespace, run_id), key=_made):
        newest[stuck.step_of(pod)] = pod
    told = {step: of(step, pod) for step, pod in newest.items()}
    return {step: found for step, found in told.items() if found}


def _made(pod: Mapping[str, Any]) -> str:
    return str(pod["metadata"].get("creationTimestamp", ""))


def of(step: str, pod: Mapping[str, Any]) -> Failure | None:
    """Why a pod failed; None if it has not."""
    status = pod.get("status", {})
    if status.get("phase") != "Failed":
        return None
    main = _terminated(status)
    said = failure.read(str(main.get("message", "")))
    if said:
        return said
    return _taken(step, status) or _killed(step, pod, main) or _other(step, main)


def _terminated(status: Mapping[str, Any]) -> Mapping[str, Any]:
    """How the step's own container ended; empty where it did not come so far."""
    states = [one.get("state", {}) for one in status.get("containerStatuses", ()) if one.get("name") == MAIN]
    return next((state["terminated"] for state in states if "terminated" in state), {})


def _taken(step: str, status: Mapping[str, Any]) -> Failure | None:
    """The pod was ended from outside: by its node, by the scheduler, by its deadline."""
    reason, message = str(status.get("reason", "")), " ".join(str(status.get("message", "")).split()).rstrip(".")
    if reason == "DeadlineExceeded":
        return Failure(step, "stalled", "it passed its deadline and was ended", "give a longer --timeout")
    if reason == "Evicted" and "low on resource: memory" in message:
        return Failure(step, "memory", f"evicted: {message}", SMALLER)
    if reason == "Evicted" and ("ephemeral-storage" in message or "disk" in message.lower()):
        return Failure(step, "resources", f"evicted: {message}", "ask for nodes with a larger disk")
    disrupted: Mapping[str, Any] = next((one for one in status.get("conditions", ()) if _is_disruption(one)), {})
    if reason in {"Evicted", "NodeShutdown", "Terminated", "Shutdown", "Preempting"} or disrupted:
        why = message or str(disrupted.get("message", "")) or reason or str(disrupted.get("reason", ""))
        return Failure(step, "preempted", f"its pod was taken away: {why}", AGAIN)
    return None


def _is_disruption(condition: Mapping[str, Any]) -> bool:
    return condition.get("type") == "DisruptionTarget" and condition.get("status") == "True"


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
        where = f"its limit of {limit}" if limit else "what its node has"
        return Failure(step, "memory", f"killed for want of memory (OOMKilled): it took more than {where}", SMALLER)
    if main.get("exitCode") == KILLED:
        return Failure(step, "preempted", "killed from outside (SIGKILL)", AGAIN)
    return None


def _other(step: str, main: Mapping[str, Any]) -> Failure:
    if not main:
        return Failure(step, "resources", "its container never ran", "look at the pod's events: kubectl describe pod")
    reason, code = main.get("reason") or "Error", main.get("exitCode", "?")
    said = " ".join(str(main.get("message", "")).split())[-300:]
    line = f"it ended with exit status {code} ({reason}) and told nothing" if not said else f"{reason} ({code}): {said}"
    return Failure(step, BUG, line, "see the step's log")
