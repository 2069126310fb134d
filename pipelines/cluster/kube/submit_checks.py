"""The half of the preflight that needs the cluster: whether what the pods name exists, and room for them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipelines.cluster.kube import capacity, limits, nodes, queues, reads
from pipelines.cluster.kube.access import Access, Right, not_configured
from pipelines.cluster.kube.capacity import Pod
from pipelines.cluster.kube.reads import Read
from pipelines.compile.check_result import CheckResult
from pipelines.hardware.catalog.row import CLASS_LABEL

IDENTITY = "iam.gke.io/gcp-service-account"


def check(
    cluster: Access | None,
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
    """Check a submission against the cluster; after a ``fail`` the run would fail or never start.

    What this user has no right to read is skipped, and each missing right is a result of its own.

    Args:
        cluster: None if none is configured.
        namespace: of the run's pods.
        pods: these pods.
        service_account: of the pods; empty for the server's default, which is not checked.
        queue: Kueue's local queue.
        compute_class: GKE's ComputeClass; by default the one that a pod selects.
        pipeline_root: where artifacts go; empty for the namespace's default, which is read.
        autopilot: whether the cluster is known to be GKE Autopilot; the names of its nodes show it too.
        accelerator: the catalog's name of the requested accelerator, for advice.

    Raises:
        StepError: the cluster cannot be reached, or answers with an error.
    """
    if cluster is None:
        return [not_configured()]
    compute_class = compute_class or next(
        (pod.node_selector[CLASS_LABEL] for pod in pods if CLASS_LABEL in pod.node_selector), ""
    )
    wanted = reads.common_reads(cluster, namespace, service_account, pipeline_root)
    if queue:
        wanted["queue"] = Read(Right("get", "localqueues", namespace, queues.KUEUE, queue), "the queue")
    if compute_class:
        right = Right("get", "computeclasses", "", "cloud.google.com", compute_class)
        wanted["class"] = Read(right, "the compute class")
    read = reads.read_all(cluster, wanted)
    read.raise_error()
    values = read.values
    results = [CheckResult("ok", "cluster", f"{cluster.context} at {cluster.host}"), *read.missing]
    if "namespace" in values and values["namespace"] is None:
        return [*results, missing_namespace(namespace)]
    results += check_names(values, namespace, service_account)
    if "nodes" in values:
        inventory = nodes.inventory(values, gke=cluster.gke, autopilot=autopilot, accelerator=accelerator)
        if inventory.autopilot:
            for pod in pods:
                results += nodes.autopilot_rules(pod)
        results += nodes.check_pods(pods, inventory)
    for steps, pod in capacity.group_pods(pods, lambda pod: (pod.limits, pod.requests)):
        results += limits.check_quotas(steps, pod, values.get("quotas", ()), values.get("ranges", ()))
        results += limits.check_ranges(steps, pod, values.get("ranges", ()))
    if "queue" in values:
        labels = (values.get("namespace") or {}).get("metadata", {}).get("labels", {})
        results += reads.run_check(wanted["queue"], lambda: queues.check_queue(cluster, namespace, queue, pods, labels))
    if "class" in values:
        results += reads.run_check(wanted["class"], lambda: queues.check_compute_class(cluster, compute_class))
    return results


def missing_namespace(namespace: str) -> CheckResult:
    return CheckResult("fail", f"namespace {namespace}", "does not exist", "give another with --namespace")


def check_names(values: Mapping[str, Any], namespace: str, service_account: str) -> Iterator[CheckResult]:
    """Namespace, service account and pipeline root."""
    if "namespace" in values:
        yield CheckResult("ok", f"namespace {namespace}", "exists")
    if "account" in values:
        what, account = f"service account {service_account}", values["account"]
        if account is None:
            advice = "give the target another service_account"
            yield CheckResult("fail", what, f"does not exist in {namespace}", advice)
        else:
            google = account["metadata"].get("annotations", {}).get(IDENTITY)
            bound = f"exists, as {google}" if google else "exists, bound to no Google account by name"
            yield CheckResult("ok", what, bound)
    if "launcher" in values:
        root = ((values["launcher"] or {}).get("data") or {}).get("defaultPipelineRoot", "")
        yield CheckResult("ok", "pipeline root", root or "the server's own store")
