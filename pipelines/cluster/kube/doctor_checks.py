"""What a cluster says to whoever wants to submit runs to it: rights, names, pools, quotas, queues, and what waits."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from components.core.errors import StepError
from pipelines.cluster.kube import classes, controller, limits, nodes, pools, queues, reads, stuck
from pipelines.cluster.kube.access import Access, ForbiddenError, Right, listed, read
from pipelines.cluster.kube.reads import Look
from pipelines.cluster.kube.submit_checks import names
from pipelines.compile.check_result import CheckResult
from pipelines.hardware.catalog import Catalog

ARGO, GOOGLE = "argoproj.io", "cloud.google.com"


@dataclass(frozen=True)
class Place:
    """Where runs are to live.

    Attributes:
        namespace: of their pods.
        server_namespace: Kubeflow's own.
        service_account: what the pods run as; empty for the server's choice, which is not looked at.
        queue: Kueue's local queue that they name; empty for none.
        pipeline_root: where artifacts go; empty for the namespace's default, which is looked up.
        autopilot: whether the cluster is known to be GKE Autopilot; the names of its nodes tell it too.
    """

    namespace: str
    server_namespace: str
    service_account: str = ""
    queue: str = ""
    pipeline_root: str = ""
    autopilot: bool = False


def findings(way: Access, place: Place, catalog: Catalog) -> list[CheckResult]:
    """One line each; nothing is changed. Where the cluster falls silent, what it said before is kept."""
    found: list[CheckResult] = []
    try:
        for one in _all(way, place, catalog):
            found.append(one)
    except StepError as error:
        found.append(CheckResult("fail", "cluster", error.message, error.advice))
    return found


def _all(way: Access, place: Place, catalog: Catalog) -> Iterator[CheckResult]:
    version = f", {way.version}" if way.version else ""
    yield CheckResult("ok", "cluster", f"{way.context} at {way.host}{version}")
    kueue = queues.version(way)
    wanted = rights(way, place, kueue=kueue, compute_classes=classes.served(way))
    answers = reads.seen(way, wanted)
    seen = answers.values
    yield from answers.missing
    if not answers.missing and not answers.faults:
        yield CheckResult("ok", "rights", f"all {sum(not look.quiet for look in wanted.values())} that submit uses")
    if "namespace" in seen and seen["namespace"] is None:
        yield CheckResult("fail", f"namespace {place.namespace}", "there is none", "give another with --namespace")
        return
    yield from names(seen, place.namespace, place.service_account)
    if config := seen.get("controller"):
        yield from controller.retries(config)
    if "nodes" in seen:
        yield from pools.pools(nodes.cluster_of(seen, gke=way.gke, autopilot=place.autopilot), catalog)
    yield from limits.left(seen.get("quotas", ()))
    answers.sound()
    if kueue or place.queue:
        yield from _queues(way, wanted, seen, place)
    if "own pods" in seen:
        yield from _waiting(way, place.namespace)


def rights(way: Access, place: Place, *, kueue: str, compute_classes: bool) -> dict[str, Look]:
    """Everything that ``submit`` looks at, and ``--wait`` while it follows a run.

    Args:
        kueue: the version that the cluster has of Kueue's objects; empty without it.
        compute_classes: whether it has GKE's compute classes.
    """
    found = reads.common(way, place.namespace, place.service_account, place.pipeline_root)
    found["events"] = Look(Right("list", "events", place.namespace), "what the autoscaler says about a step that waits")
    found["workflows"] = Look(Right("list", "workflows", place.namespace, ARGO), "whether a quota refuses a step's pod")
    found["controller"] = Look(
        Right("get", "configmaps", place.server_namespace, name=controller.NAME),
        "whether preempted steps are retried",
        lambda: read(way, f"/api/v1/namespaces/{place.server_namespace}/configmaps/{controller.NAME}"),
        quiet=True,
    )
    if kueue:
        path = f"/apis/{queues.KUEUE}/{kueue}/namespaces/{place.namespace}/localqueues"
        found["queues"] = Look(
            Right("list", "localqueues", place.namespace, queues.KUEUE), "the queues", lambda: listed(way, path)
        )
        found["queue"] = Look(Right("get", "localqueues", place.namespace, queues.KUEUE), "a queue that a run names")
        found["cluster queues"] = Look(Right("get", "clusterqueues", "", queues.KUEUE), "what a queue holds")
    if compute_classes:
        found["class"] = Look(Right("get", "computeclasses", "", GOOGLE), "a compute class that a run names")
        found["classes"] = Look(Right("list", "computeclasses", "", GOOGLE), "which compute classes there are")
    return found


def _queues(way: Access, wanted: Mapping[str, Look], seen: Mapping[str, Any], place: Place) -> Iterator[CheckResult]:
    """Each local queue of the namespace, and the one that runs are to name, there or not."""
    labels = (seen.get("namespace") or {}).get("metadata", {}).get("labels", {})
    there = [queue["metadata"]["name"] for queue in seen.get("queues", ())]
    for name in dict.fromkeys([*there, *filter(None, [place.queue])]):
        try:
            yield from queues.queue(way, place.namespace, name, (), labels)
        except ForbiddenError:
            yield reads.missing(wanted["queue"])


def _waiting(way: Access, namespace: str) -> Iterator[CheckResult]:
    try:
        runs = stuck.waiting(way, namespace)
    except ForbiddenError:
        return
    for run, steps in runs.items():
        for step, reason in steps.items():
            yield CheckResult("warn", f"{step} of run {run}", reason, f"suanli cancel {run} stops it")
    if not runs:
        yield CheckResult("ok", "waiting", f"no step of a run in {namespace} waits for a node, an image or a quota")
