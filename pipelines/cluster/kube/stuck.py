"""Why a run's steps do not start: the reasons of the scheduler, the queue, the registry and the quota in words."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from pipelines.cluster.kube.access import Access, list_items
from pipelines.cluster.kube.errors import ForbiddenError
from pipelines.hardware.catalog.row import RESOURCES
from pipelines.hardware.catalog.shapes import GPU_LABEL, TPU_LABEL
from pipelines.hardware.pods import QUEUE_LABEL

# Source: kubeflow/pipelines at 2.17.0: backend/src/common/util/consts.go, and the DAG tasks that
# backend/src/v2/compiler/argocompiler/{dag,container}.go makes: <task>-driver, and <task> with its one task "executor".
RUN = "pipeline/runid"
OF_KUBEFLOW = "pipelines.kubeflow.org/v2_component=true"
NODE_NAME = "workflows.argoproj.io/node-name"
# Argo's label for the workflows that have not ended (workflow/common/common.go: LabelKeyPhase).
RUNNING_WORKFLOWS = "workflows.argoproj.io/phase=Running"
# Labels that only pods with an accelerator select -> the resource that such a pod requests.
PROMISES = {GPU_LABEL: RESOURCES["gpu"], TPU_LABEL: RESOURCES["tpu"]}
GATES = {"kueue.x-k8s.io/admission": "waiting for quota in the queue {queue}"}
WAITING = {
    "ImagePullBackOff": "its image cannot be pulled",
    "ErrImagePull": "its image cannot be pulled",
    "ErrImageNeverPull": "its image is not on the node, and must not be pulled",
    "InvalidImageName": "its image's name is not valid",
    "CreateContainerConfigError": "a secret or config map that it names is missing",
    "CreateContainerError": "its container cannot be created",
    "RunContainerError": "its container cannot be started",
}
# Reasons of the cluster autoscaler's events about a pod.
SCALING = {
    "TriggeredScaleUp": "the autoscaler is adding a node",
    "NotTriggerScaleUp": "no pool can grow to hold it",
    "FailedScaleUp": "the autoscaler could not add a node",
}
NO_NODES = re.compile(r"no nodes available to schedule pods")
SUMMARY = re.compile(r"^(\d+)/(\d+) nodes are available: (.*)$", re.DOTALL)
TAINT = re.compile(r"taint \{([^:}\s]+)(?:: ?([^}]*))?\}")
# How the scheduler begins a reason -> what it means; {n} nodes.
REASONS: tuple[tuple[str, str], ...] = (
    ("node(s) didn't match Pod's node affinity", "{n} without the labels that the pod selects"),
    ("node(s) didn't match node selector", "{n} without the labels that the pod selects"),
    ("node(s) had untolerated taint", "{n} with a taint that the pod does not tolerate"),
    ("node(s) had taint", "{n} with a taint that the pod does not tolerate"),
    ("node(s) were unschedulable", "{n} cordoned"),
    ("node(s) were not ready", "{n} not ready"),
    ("Too many pods", "{n} with as many pods as they may have"),
    ("node(s) had volume node affinity conflict", "{n} in another zone than the pod's volume"),
    ("node(s) didn't find available persistent volumes", "{n} without a volume for the pod"),
)


class Promised(Protocol):
    """A submitted step and the limits of its pod."""

    @property
    def step(self) -> str: ...
    @property
    def limits(self) -> Mapping[str, str]: ...


def stuck(cluster: Access, namespace: str, run_id: str, promised: Iterable[Promised] = ()) -> dict[str, str]:
    """Step -> why it does not start, or why its start is worth nothing; empty if all is well.

    Args:
        cluster: to read.
        namespace: the run's namespace.
        run_id: Kubeflow's id of the run.
        promised: the pods as they were submitted; then a pod that is bound without its accelerator is reported too.

    Raises:
        StepError: the cluster cannot be reached, or the pods may not be listed.
    """
    limits = {pod.step: pod.limits for pod in promised}
    refused = _refused(cluster, namespace, f"{RUN}={run_id}").get(run_id, {})
    return {**refused, **_reasons(cluster, namespace, pods_of(cluster, namespace, run_id), limits)}


def waiting(cluster: Access, namespace: str) -> dict[str, dict[str, str]]:
    """Run -> step -> why it does not start, as :func:`stuck`, of all runs of a namespace that have not ended.

    Raises:
        StepError: as :func:`stuck`.
    """
    pods: dict[str, list[dict[str, Any]]] = {}
    for pod in list_items(cluster, f"/api/v1/namespaces/{namespace}/pods", labelSelector=OF_KUBEFLOW):
        pods.setdefault(pod["metadata"]["labels"].get(RUN, ""), []).append(pod)
    refused = _refused(cluster, namespace, RUNNING_WORKFLOWS)
    reasons = {
        run: {**refused.get(run, {}), **_reasons(cluster, namespace, pods.get(run, ()), {})}
        for run in {**refused, **pods}
    }
    return {run: steps for run, steps in reasons.items() if run and steps}


def _reasons(
    cluster: Access, namespace: str, pods: Iterable[Mapping[str, Any]], limits: Mapping[str, Mapping[str, str]]
) -> dict[str, str]:
    reasons: dict[str, str] = {}
    for pod in pods:
        step = step_of(pod)
        reason = _reason(pod) or lost_accelerator(pod, limits.get(step))
        if reason and pod["status"].get("phase") == "Pending":
            reason = "; ".join(filter(None, (reason, _scaling(cluster, namespace, pod))))
        if reason:
            reasons.setdefault(step, reason)
    return reasons


def pods_of(cluster: Access, namespace: str, run_id: str) -> list[dict[str, Any]]:
    """The pods of a run, its drivers included.

    Raises:
        StepError: the cluster cannot be reached, or the pods may not be listed.
    """
    return list_items(cluster, f"/api/v1/namespaces/{namespace}/pods", labelSelector=f"{RUN}={run_id}")


def step_of(pod: Mapping[str, Any]) -> str:
    """The step that a pod belongs to: ``train``, or ``train-driver`` for the pod that prepares it."""
    name = pod["metadata"].get("annotations", {}).get(NODE_NAME, "")
    return _step(name) or pod["metadata"]["name"]


def _step(node_name: str) -> str:
    """``wf.root.train.executor(0)`` -> ``train``: attempts and iterations are in brackets."""
    parts = re.sub(r"\([^)]*\)|\[[^\]]*\]", "", node_name).split(".")
    return parts[-2] if parts[-1] == "executor" and len(parts) > 1 else parts[-1]


def _reason(pod: Mapping[str, Any]) -> str:
    """Why a pending pod does not start, by its own status."""
    status = pod.get("status", {})
    if status.get("phase") != "Pending":
        return ""
    for condition in status.get("conditions", ()):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            if condition.get("reason") == "SchedulingGated":
                return _gated(pod)
            message = condition.get("message") or "not scheduled yet"
            reason = explain(message)
            return reason if reason == message else f"{reason} (the scheduler: {message})"
    for container in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        waiting = container.get("state", {}).get("waiting") or {}
        if waiting.get("reason") in WAITING:
            message = f": {waiting['message']}" if waiting.get("message") else ""
            return f"{WAITING[waiting['reason']]} ({waiting['reason']}, {container.get('image', '')}{message})"
    return ""


def _gated(pod: Mapping[str, Any]) -> str:
    gates = [gate["name"] for gate in pod["spec"].get("schedulingGates", ())]
    queue = pod["metadata"].get("labels", {}).get(QUEUE_LABEL, "")
    known = [GATES[gate].format(queue=queue) for gate in gates if gate in GATES]
    return "; ".join(known) or f"held back by {', '.join(gates) or 'a scheduling gate'}"


def explain(message: str) -> str:
    """A scheduler's message in words; unchanged if it has another form.

    Source of the form: kubernetes, pkg/scheduler/framework/types.go (FitError), 1.22 to 1.35.
    """
    if NO_NODES.search(message):
        return "the cluster has no node"
    summary = SUMMARY.match(message.strip())
    if not summary:
        return message
    _, total, rest = summary.groups()
    rest = re.split(r"\.?\s+preemption:", rest)[0].strip().rstrip(".")
    # A reason begins with its count; the comma inside "taint {a: b}, that the pod didn't tolerate" is not a separator.
    reasons = [_explain_reason(reason) for reason in re.split(r",\s+(?=\d+ )", rest) if reason]
    return f"no node of {total} fits: {', '.join(reasons)}"


def _explain_reason(reason: str) -> str:
    count, _, text = reason.partition(" ")
    if not count.isdigit():
        return reason
    if text.startswith("Insufficient "):
        return f"{count} with too little {text.removeprefix('Insufficient ')} free"
    for beginning, meaning in REASONS:
        if text.startswith(beginning):
            taint = TAINT.search(text)
            return meaning.format(n=count) + (f" ({'='.join(filter(None, taint.groups()))})" if taint else "")
    return f"{count}: {text.removeprefix('node(s) ')}"


def lost_accelerator(pod: Mapping[str, Any], promised: Mapping[str, str] | None = None) -> str:
    """The accelerator that a pod was promised and is bound without, in words; empty if it has all.

    Kubeflow servers that are older than the client drop the request without a word: kubeflow/pipelines#11374, #11928.

    Args:
        pod: the pod in the cluster.
        promised: the limits that were submitted; without them, those that its node selector implies.
    """
    spec, phase = pod["spec"], pod.get("status", {}).get("phase")
    if not spec.get("nodeName") or phase not in {"Pending", "Running"} or step_of(pod).endswith("-driver"):
        return ""
    wanted = {resource: "" for label, resource in PROMISES.items() if label in spec.get("nodeSelector", {})}
    wanted |= {resource: count for resource, count in (promised or {}).items() if "/" in resource}
    limits: dict[str, str] = {}
    for container in spec.get("containers", ()):
        limits |= container.get("resources", {}).get("limits", {})
    for resource, count in wanted.items():
        if resource not in limits or (count and str(limits[resource]) != str(count)):
            has = limits.get(resource, "none")
            return (
                f"its pod is on {spec['nodeName']} with {has} of the {count or 'promised'} {resource}: the server "
                "dropped the request, and it would run without (kubeflow/pipelines#11374)"
            )
    return ""


def _scaling(cluster: Access, namespace: str, pod: Mapping[str, Any]) -> str:
    """The autoscaler's last event about a pod, in words; empty if there is none, or events may not be read."""
    try:
        events = list_items(
            cluster,
            f"/api/v1/namespaces/{namespace}/events",
            fieldSelector=f"involvedObject.name={pod['metadata']['name']}",
        )
    except ForbiddenError:
        return ""
    scaling = [event for event in events if event.get("reason") in SCALING]
    if not scaling:
        return ""
    last = max(scaling, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
    return f"{SCALING[last['reason']]} ({' '.join(last.get('message', '').split())[:300]})"


def _refused(cluster: Access, namespace: str, selector: str) -> dict[str, dict[str, str]]:
    """Run -> step -> why its pod is not created: over quota, Argo keeps trying, and reports it only here."""
    try:
        flows = list_items(
            cluster, f"/apis/argoproj.io/v1alpha1/namespaces/{namespace}/workflows", labelSelector=selector
        )
    except ForbiddenError:
        return {}
    refused: dict[str, dict[str, str]] = {}
    for flow in flows:
        nodes: Mapping[str, Mapping[str, Any]] = flow.get("status", {}).get("nodes") or {}
        refused.setdefault(flow["metadata"].get("labels", {}).get(RUN, ""), {}).update(
            (_step(node.get("name", "")), f"its pod is not admitted: {node['message']}")
            for node in nodes.values()
            if node.get("type") == "Pod" and node.get("phase") == "Pending" and "forbidden" in node.get("message", "")
        )
    return refused
