"""Whether runs can be submitted to a cluster: rights, names, pools, quotas, queues, and what is waiting."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from components.core.errors import StepError
from pipelines.cluster.kube import classes, controller, limits, nodes, pools, queues, reads, stuck
from pipelines.cluster.kube.access import Access, Right, list_items, read
from pipelines.cluster.kube.errors import ForbiddenError
from pipelines.cluster.kube.reads import Read
from pipelines.cluster.kube.submit_checks import check_names, missing_namespace
from pipelines.compile.check_result import CheckResult
from pipelines.hardware.catalog import Catalog

ARGO, GOOGLE = "argoproj.io", "cloud.google.com"


@dataclass(frozen=True)
class Installation:
    """Where runs are to be submitted.

    Attributes:
        namespace: of their pods.
        server_namespace: Kubeflow's own.
        service_account: of the pods; empty for the server's default, which is not checked.
        queue: Kueue's local queue, if any.
        pipeline_root: where artifacts go; empty for the namespace's default, which is read.
        autopilot: whether the cluster is known to be GKE Autopilot; the names of its nodes show it too.
    """

    namespace: str
    server_namespace: str
    service_account: str = ""
    queue: str = ""
    pipeline_root: str = ""
    autopilot: bool = False


def check(cluster: Access, installation: Installation, catalog: Catalog) -> list[CheckResult]:
    """Check without changing anything. If the cluster stops answering, the results so far are returned."""
    results: list[CheckResult] = []
    try:
        for result in _check(cluster, installation, catalog):
            results.append(result)
    except StepError as error:
        results.append(CheckResult("fail", "cluster", error.message, error.advice))
    return results


def _check(cluster: Access, installation: Installation, catalog: Catalog) -> Iterator[CheckResult]:
    version = f", {cluster.version}" if cluster.version else ""
    yield CheckResult("ok", "cluster", f"{cluster.context} at {cluster.host}{version}")
    kueue = queues.version(cluster)
    wanted = submit_reads(cluster, installation, kueue=kueue, compute_classes=classes.served(cluster))
    results = reads.read_all(cluster, wanted)
    values = results.values
    yield from results.missing
    if not results.missing and not results.errors:
        yield CheckResult("ok", "rights", f"all {sum(not each.quiet for each in wanted.values())} that submit uses")
    if "namespace" in values and values["namespace"] is None:
        yield missing_namespace(installation.namespace)
        return
    yield from check_names(values, installation.namespace, installation.service_account)
    if config := values.get("controller"):
        yield from controller.check_retries(config)
    if "nodes" in values:
        inventory = nodes.inventory(values, gke=cluster.gke, autopilot=installation.autopilot)
        yield from pools.check_pools(inventory, catalog)
    yield from limits.quota_usage(values.get("quotas", ()))
    results.raise_error()
    if kueue or installation.queue:
        yield from _check_queues(cluster, wanted, values, installation)
    if "own pods" in values:
        yield from _waiting(cluster, installation.namespace)


def submit_reads(cluster: Access, installation: Installation, *, kueue: str, compute_classes: bool) -> dict[str, Read]:
    """Everything that ``submit`` reads, and ``--wait`` while it follows a run.

    Args:
        kueue: the version of Kueue's objects that the cluster serves; empty without Kueue.
        compute_classes: whether it has GKE's compute classes.
    """
    namespace = installation.namespace
    wanted = reads.common_reads(cluster, namespace, installation.service_account, installation.pipeline_root)
    wanted["events"] = Read(Right("list", "events", namespace), "what the autoscaler says about a step that waits")
    wanted["workflows"] = Read(Right("list", "workflows", namespace, ARGO), "whether a quota refuses a step's pod")
    wanted["schedules"] = Read(
        Right("list", "scheduledworkflows", namespace, "kubeflow.org"), "what failed schedules have left", quiet=True
    )
    wanted["controller"] = Read(
        Right("get", "configmaps", installation.server_namespace, name=controller.NAME),
        "whether preempted steps are retried",
        lambda: read(cluster, f"/api/v1/namespaces/{installation.server_namespace}/configmaps/{controller.NAME}"),
        quiet=True,
    )
    if kueue:
        path = f"/apis/{queues.KUEUE}/{kueue}/namespaces/{namespace}/localqueues"
        wanted["queues"] = Read(
            Right("list", "localqueues", namespace, queues.KUEUE), "the queues", lambda: list_items(cluster, path)
        )
        wanted["queue"] = Read(Right("get", "localqueues", namespace, queues.KUEUE), "a queue that a run names")
        wanted["cluster queues"] = Read(Right("get", "clusterqueues", "", queues.KUEUE), "what a queue holds")
    if compute_classes:
        wanted["class"] = Read(Right("get", "computeclasses", "", GOOGLE), "a compute class that a run names")
        wanted["classes"] = Read(Right("list", "computeclasses", "", GOOGLE), "which compute classes there are")
    return wanted


def _check_queues(
    cluster: Access, wanted: Mapping[str, Read], values: Mapping[str, Any], installation: Installation
) -> Iterator[CheckResult]:
    """Each local queue of the namespace, and the target's, which may not exist."""
    labels = (values.get("namespace") or {}).get("metadata", {}).get("labels", {})
    existing = [queue["metadata"]["name"] for queue in values.get("queues", ())]
    for name in dict.fromkeys([*existing, *filter(None, [installation.queue])]):
        try:
            yield from queues.check_queue(cluster, installation.namespace, name, (), labels)
        except ForbiddenError:
            yield reads.missing_right(wanted["queue"])


def _waiting(cluster: Access, namespace: str) -> Iterator[CheckResult]:
    try:
        runs = stuck.waiting(cluster, namespace)
    except ForbiddenError:
        return
    for run, steps in runs.items():
        for step, reason in steps.items():
            yield CheckResult("warn", f"{step} of run {run}", reason, f"suanli cancel {run} stops it")
    if not runs:
        yield CheckResult("ok", "waiting", f"no step of a run in {namespace} waits for a node, an image or a quota")
