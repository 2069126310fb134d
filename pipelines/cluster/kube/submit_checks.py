"""The half of the preflight that needs the cluster: whether what the pods name is there, and room for them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipelines.cluster.kube import capacity, limits, nodes, queues, reads
from pipelines.cluster.kube.access import Access, Right, absent, access
from pipelines.cluster.kube.capacity import Pod
from pipelines.cluster.kube.reads import Look
from pipelines.compile.check_result import CheckResult
from pipelines.hardware.catalog.row import CLASS_LABEL

__all__ = ["Access", "CheckResult", "Pod", "Right", "access", "findings"]

IDENTITY = "iam.gke.io/gcp-service-account"


def findings(
    way: Access | None,
    namespace: str,
    pods: Sequence[Pod],
    *,
    service_account: str = "",
    queue: str = "",
    compute_class: str = "",
    pipeline_root: str = "",
    autopilot: bool = False,
    accelerator: str = "",
) -> list[CheckResult]:
    """What the cluster says to a submission, one line each; where one is ``fail``, the run would fail or never start.

    What this user has no right to read is skipped, and each missing right has a line of its own.

    Args:
        way: into the cluster; None where there is none.
        namespace: where the run's pods will be.
        pods: these pods.
        service_account: what they run as; empty for the server's default, which is not looked at.
        queue: Kueue's local queue.
        compute_class: GKE's ComputeClass; by default the one that a pod selects.
        pipeline_root: where artifacts go; empty for the namespace's default, which is looked up.
        autopilot: whether the cluster is known to be GKE Autopilot; the names of its nodes tell it too.
        accelerator: the catalog's name of what is asked for, for advice.

    Raises:
        StepError: the cluster cannot be reached, or answers with an error.
    """
    if way is None:
        return [absent()]
    selected = next((pod.node_selector[CLASS_LABEL] for pod in pods if CLASS_LABEL in pod.node_selector), "")
    wanted = _looks(way, namespace, service_account, queue, compute_class or selected, pipeline_root)
    answers = reads.seen(way, wanted)
    answers.sound()
    seen = answers.values
    found = [CheckResult("ok", "cluster", f"{way.context} at {way.host}"), *answers.missing]
    if "namespace" in seen and seen["namespace"] is None:
        return [*found, CheckResult("fail", f"namespace {namespace}", "there is none", "give another with --namespace")]
    found += names(seen, namespace, service_account)
    if "nodes" in seen:
        found += _placed(way, seen, pods, autopilot, accelerator)
    for steps, pod in capacity.alike(pods, lambda pod: (pod.limits, pod.requests)):
        found += limits.quotas(steps, pod, seen.get("quotas", ()), seen.get("ranges", ()))
        found += limits.ranges(steps, pod, seen.get("ranges", ()))
    if "queue" in seen:
        labels = (seen.get("namespace") or {}).get("metadata", {}).get("labels", {})
        found += reads.tried(wanted["queue"], lambda: queues.queue(way, namespace, queue, pods, labels))
    if "class" in seen:
        found += reads.tried(wanted["class"], lambda: queues.compute_class(way, compute_class or selected))
    return found


def _looks(
    way: Access, namespace: str, service_account: str, queue: str, compute_class: str, pipeline_root: str
) -> dict[str, Look]:
    found = reads.common(way, namespace, service_account, pipeline_root)
    if queue:
        found["queue"] = Look(Right("get", "localqueues", namespace, queues.KUEUE, queue), "the queue")
    if compute_class:
        found["class"] = Look(
            Right("get", "computeclasses", "", "cloud.google.com", compute_class), "the compute class"
        )
    return found


def names(seen: Mapping[str, Any], namespace: str, service_account: str) -> Iterator[CheckResult]:
    """Namespace, service account and pipeline root."""
    if "namespace" in seen:
        yield CheckResult("ok", f"namespace {namespace}", "exists")
    if "account" in seen:
        what, account = f"service account {service_account}", seen["account"]
        if account is None:
            yield CheckResult("fail", what, f"there is none in {namespace}", "give the target another service_account")
        else:
            google = account["metadata"].get("annotations", {}).get(IDENTITY)
            yield CheckResult(
                "ok", what, f"exists, as {google}" if google else "exists, bound to no Google account by name"
            )
    if "launcher" in seen:
        root = ((seen["launcher"] or {}).get("data") or {}).get("defaultPipelineRoot", "")
        yield CheckResult("ok", "pipeline root", root or "the server's own store")


def _placed(
    way: Access, seen: Mapping[str, Any], pods: Sequence[Pod], autopilot: bool, accelerator: str
) -> Iterator[CheckResult]:
    cluster = nodes.cluster_of(seen, gke=way.gke, autopilot=autopilot, accelerator=accelerator)
    if cluster.autopilot:
        for pod in pods:
            yield from nodes.autopilot_rules(pod)
    yield from nodes.places(pods, cluster)
