"""The half of the preflight that needs the cluster: whether what the pods name is there, and room for them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from pipelines.cluster.kube import capacity, limits, nodes, queues
from pipelines.cluster.kube.access import NO_ACCESS, Access, ForbiddenError, Right, access, granted, listed, read
from pipelines.cluster.kube.capacity import Pod
from pipelines.finding import Finding
from pipelines.hardware.catalog.row import CLASS_LABEL

__all__ = ["Access", "Finding", "Pod", "Right", "access", "findings"]

AUTOSCALER = "/api/v1/namespaces/kube-system/configmaps/cluster-autoscaler-status"
# Kubeflow's launcher reads the namespace's default pipeline root there.
LAUNCHER = "kfp-launcher"
IDENTITY = "iam.gke.io/gcp-service-account"


@dataclass(frozen=True)
class _Look:
    """Something to read, the right that it takes, and what cannot be said without it."""

    right: Right
    unsaid: str
    read: Callable[[], Any] = lambda: None
    quiet: bool = False


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
) -> list[Finding]:
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
        return [Finding("warn", "cluster", f"not looked at: {NO_ACCESS}", "set KUBECONFIG, or --kube-context")]
    selected = next((pod.node_selector[CLASS_LABEL] for pod in pods if CLASS_LABEL in pod.node_selector), "")
    looks = _looks(way, namespace, service_account, queue, compute_class or selected, pipeline_root)
    seen, missing = _seen(way, looks)
    found = [Finding("ok", "cluster", f"{way.context} at {way.host}"), *missing]
    if "namespace" in seen and seen["namespace"] is None:
        return [*found, Finding("fail", f"namespace {namespace}", "there is none", "give another with --namespace")]
    found += _names(seen, namespace, service_account)
    if "nodes" in seen:
        found += _placed(way, seen, pods, autopilot, accelerator)
    for steps, pod in capacity.alike(pods, lambda pod: (pod.limits, pod.requests)):
        found += limits.quotas(steps, pod, seen.get("quotas", ()), seen.get("ranges", ()))
        found += limits.ranges(steps, pod, seen.get("ranges", ()))
    if "queue" in seen:
        labels = (seen.get("namespace") or {}).get("metadata", {}).get("labels", {})
        found += _tried(looks["queue"], lambda: queues.queue(way, namespace, queue, pods, labels))
    if "class" in seen:
        found += _tried(looks["class"], lambda: queues.compute_class(way, compute_class or selected))
    return found


def _looks(
    way: Access, namespace: str, service_account: str, queue: str, compute_class: str, pipeline_root: str
) -> dict[str, _Look]:
    root = f"/api/v1/namespaces/{namespace}"
    looks = {
        "namespace": _Look(
            Right("get", "namespaces", namespace, name=namespace), "whether it exists", lambda: read(way, root)
        ),
        "nodes": _Look(Right("list", "nodes"), "whether a node fits", lambda: listed(way, "/api/v1/nodes")),
        "loads": _Look(
            Right("list", "pods"), "what is in use on the nodes", lambda: capacity.load_of(listed(way, "/api/v1/pods"))
        ),
        "quotas": _Look(
            Right("list", "resourcequotas", namespace), "the quota", lambda: listed(way, f"{root}/resourcequotas")
        ),
        "ranges": _Look(
            Right("list", "limitranges", namespace), "the limit ranges", lambda: listed(way, f"{root}/limitranges")
        ),
        "own pods": _Look(Right("list", "pods", namespace), "why a step hangs, while the run is followed"),
        "groups": _Look(
            Right("get", "configmaps", "kube-system", name="cluster-autoscaler-status"),
            "which pools are scaled to zero",
            lambda: read(way, AUTOSCALER),
            quiet=True,
        ),
    }
    if service_account:
        looks["account"] = _Look(
            Right("get", "serviceaccounts", namespace, name=service_account),
            "the service account",
            lambda: read(way, f"{root}/serviceaccounts/{service_account}"),
        )
    if not pipeline_root:
        looks["launcher"] = _Look(
            Right("get", "configmaps", namespace, name=LAUNCHER),
            "the default pipeline root",
            lambda: read(way, f"{root}/configmaps/{LAUNCHER}"),
        )
    if queue:
        looks["queue"] = _Look(Right("get", "localqueues", namespace, queues.KUEUE, queue), "the queue")
    if compute_class:
        looks["class"] = _Look(
            Right("get", "computeclasses", "", "cloud.google.com", compute_class), "the compute class"
        )
    return looks


def _seen(way: Access, looks: Mapping[str, _Look]) -> tuple[dict[str, Any], list[Finding]]:
    """What was read, by name, and a finding for each right that is missing."""
    missing: list[Finding] = []
    try:
        rights = granted(way, [look.right for look in looks.values()])
    except ForbiddenError:
        missing.append(Finding("warn", "rights", "the cluster does not say what this user may read", "all is tried"))
        rights = {look.right: True for look in looks.values()}

    def seen(look: _Look) -> tuple[bool, Any]:
        try:
            return (True, look.read()) if rights[look.right] else (False, None)
        except ForbiddenError:
            return False, None

    with ThreadPoolExecutor(len(looks)) as pool:
        answers = dict(zip(looks, pool.map(seen, looks.values()), strict=True))
    for name, look in looks.items():
        if not answers[name][0] and not look.quiet:
            missing.append(_missing(look))
    return {name: value for name, (allowed, value) in answers.items() if allowed}, missing


def _missing(look: _Look) -> Finding:
    return Finding("warn", f"right to {look.right}", "missing", f"not checked: {look.unsaid}")


def _tried(look: _Look, check: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """A check that reads for itself; a missing right where the server's review had not told of it."""
    try:
        return list(check())
    except ForbiddenError:
        return [_missing(look)]


def _names(seen: Mapping[str, Any], namespace: str, service_account: str) -> Iterator[Finding]:
    """Namespace, service account and pipeline root."""
    if "namespace" in seen:
        yield Finding("ok", f"namespace {namespace}", "exists")
    if "account" in seen:
        what, account = f"service account {service_account}", seen["account"]
        if account is None:
            yield Finding("fail", what, f"there is none in {namespace}", "give another with --service-account")
        else:
            google = account["metadata"].get("annotations", {}).get(IDENTITY)
            yield Finding(
                "ok", what, f"exists, as {google}" if google else "exists, bound to no Google account by name"
            )
    if "launcher" in seen:
        root = ((seen["launcher"] or {}).get("data") or {}).get("defaultPipelineRoot", "")
        yield Finding("ok", "pipeline root", root or "the server's own store")


def _placed(
    way: Access, seen: Mapping[str, Any], pods: Sequence[Pod], autopilot: bool, accelerator: str
) -> Iterator[Finding]:
    status = (seen.get("groups") or {}).get("data", {}).get("status")
    cluster = nodes.Cluster(
        nodes=seen["nodes"],
        loads=seen.get("loads"),
        gke=way.gke,
        autopilot=autopilot or nodes.is_autopilot(seen["nodes"]),
        groups=nodes.groups_of(status) if status else None,
        accelerator=accelerator,
    )
    if cluster.autopilot:
        for pod in pods:
            yield from nodes.autopilot_rules(pod)
    yield from nodes.places(pods, cluster)
