"""Whether a Kueue queue would ever admit a pod, and whether a GKE ComputeClass exists.

Source: kubernetes-sigs/kueue, apis/kueue/{v1beta1,v1beta2} at v0.19.2.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from components.core.choices import nearest
from pipelines.cluster.kube.access import Access, list_items, read
from pipelines.cluster.kube.capacity import Pod, format_amount, requested
from pipelines.cluster.kube.errors import ForbiddenError
from pipelines.compile.check_result import CheckResult
from pipelines.hardware.pods import QUEUE_LABEL, quantity

KUEUE = "kueue.x-k8s.io"
# The first one that the server serves: v1beta1 is deprecated, and the only one before Kueue 0.15.
VERSIONS = ("v1beta2", "v1beta1")
ADVICE = "have it repaired, or give another --queue"
# Classes that are built into GKE, without an object.
BUILT_IN = {"Accelerator", "Balanced", "Performance", "Scale-Out", "autopilot", "autopilot-spot", "general-purpose"}


class Flavor(NamedTuple):
    """A kind of capacity: the labels of its nodes, and a cluster queue's quota of each of its resources."""

    name: str
    labels: Mapping[str, str]
    resources: Mapping[str, Mapping[str, Any]]


class Group(NamedTuple):
    """Resources that a cluster queue assigns together, and their flavors."""

    resources: frozenset[str]
    flavors: tuple[Flavor, ...]


def check_queue(
    cluster: Access, namespace: str, name: str, pods: Sequence[Pod], labels: Mapping[str, str]
) -> Iterator[CheckResult]:
    """Check the local queue, its cluster queue, and whether that has what the queued pods request.

    Args:
        cluster: to read.
        namespace: the pods' namespace.
        name: the local queue's name.
        pods: the pods; those with the queue's label are checked.
        labels: the namespace's labels, which the cluster queue may select.
    """
    what = f"queue {name}"
    served = version(cluster)
    if not served:
        yield CheckResult("fail", what, "the cluster has no Kueue", "submit without --queue, or have Kueue installed")
        return
    root = f"/apis/{KUEUE}/{served}"
    local = read(cluster, f"{root}/namespaces/{namespace}/localqueues/{name}")
    if local is None:
        yield CheckResult(
            "fail", what, f"does not exist in {namespace}", _others(cluster, f"{root}/namespaces/{namespace}", name)
        )
        return
    if (policy := local.get("spec", {}).get("stopPolicy", "None")) != "None":
        yield CheckResult("warn", what, f"it is stopped ({policy})", "it admits nothing until it is resumed")
    if reason := _inactive(local):
        yield CheckResult("fail", what, f"it is not active: {reason}", ADVICE)
    target = local.get("spec", {}).get("clusterQueue", "")
    try:
        cluster_queue = read(cluster, f"{root}/clusterqueues/{target}")
    except ForbiddenError:
        yield CheckResult("warn", what, f"no right to get clusterqueues.{KUEUE}", f"what {target} holds is not checked")
        return
    if cluster_queue is None:
        yield CheckResult("fail", what, f"its cluster queue {target} does not exist", ADVICE)
        return
    groups = _groups(cluster, root, cluster_queue.get("spec", {}))
    queued = [pod for pod in pods if pod.labels.get(QUEUE_LABEL) == name]
    yield from _check_cluster_queue(what, cluster_queue, groups, queued, labels)


def version(cluster: Access) -> str:
    """The version of Kueue's objects to read; empty if it is not installed."""
    group = read(cluster, f"/apis/{KUEUE}") or {}
    served = {each["version"] for each in group.get("versions", ())}
    return next((version for version in VERSIONS if version in served), "")


def _others(cluster: Access, root: str, name: str) -> str:
    try:
        known = [each["metadata"]["name"] for each in list_items(cluster, f"{root}/localqueues")]
    except ForbiddenError:
        return ""
    return nearest(name, known) if known else "it has no local queue"


def _inactive(queue: Mapping[str, Any]) -> str:
    """Why a queue is not active, by its own condition; empty if it is."""
    for condition in queue.get("status", {}).get("conditions", ()):
        if condition.get("type") == "Active" and condition.get("status") == "False":
            return str(condition.get("message") or condition.get("reason"))
    return ""


def _check_cluster_queue(
    what: str, queue: Mapping[str, Any], groups: Sequence[Group], pods: Sequence[Pod], labels: Mapping[str, str]
) -> Iterator[CheckResult]:
    name, spec = queue["metadata"]["name"], queue.get("spec", {})
    if reason := _inactive(queue):
        yield CheckResult("fail", what, f"its cluster queue {name} is not active: {reason}", ADVICE)
        return
    if not _selects(spec.get("namespaceSelector"), labels):
        yield CheckResult(
            "fail",
            what,
            f"its cluster queue {name} does not admit this namespace",
            "have its namespaceSelector changed",
        )
        return
    shared = bool(spec.get("cohort") or spec.get("cohortName"))
    failures = [result for pod in pods for result in _check_quota(what, name, groups, shared, pod)]
    yield from failures
    if not failures:
        waiting = int(queue.get("status", {}).get("pendingWorkloads") or 0)
        yield CheckResult("ok", what, f"cluster queue {name}, {waiting} waiting")


def _selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Kubernetes' label selector: None selects nothing, an empty one everything."""
    if selector is None:
        return False
    equal = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    return equal and all(_matches(rule, labels) for rule in selector.get("matchExpressions", ()))


def _matches(rule: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value = labels.get(rule["key"])
    match rule["operator"]:
        case "In":
            return value in rule["values"]
        case "NotIn":
            return value not in rule["values"]
        case "Exists":
            return value is not None
    return value is None


def _check_quota(what: str, name: str, groups: Sequence[Group], shared: bool, pod: Pod) -> Iterator[CheckResult]:
    """What a pod requests and no flavor of a cluster queue could ever provide."""
    wanted = requested(pod)
    covered = {resource for group in groups for resource in group.resources}
    for resource in wanted:
        if resource not in covered:
            text = f"its cluster queue {name} does not cover {resource}, which {pod.step} asks for"
            yield CheckResult("fail", what, text, f"it covers {', '.join(sorted(covered)) or 'nothing'}")
    for group in groups:
        # All resources of a group come from one flavor.
        inside = {resource: amount for resource, amount in wanted.items() if resource in group.resources}
        reasons = [_why_too_small(flavor, pod, inside, shared) for flavor in group.flavors]
        if inside and reasons and all(reasons):
            text = f"no flavor of its cluster queue {name} has what {pod.step} asks for: {'; '.join(reasons)}"
            yield CheckResult("fail", what, text, "ask for what it has, or have a flavor added")


def _why_too_small(flavor: Flavor, pod: Pod, wanted: Mapping[str, Decimal], shared: bool) -> str:
    """Why a flavor can never hold a pod; empty if it can.

    A flavor's node labels must not contradict the pod's selector (Kueue, "Resource Flavor").
    """
    for key, value in flavor.labels.items():
        if pod.node_selector.get(key, value) != value:
            return f"{flavor.name} is for {key}={value}"
    for resource, amount in wanted.items():
        most = _most(flavor.resources.get(resource, {}), shared)
        if most is not None and amount > most:
            return f"{flavor.name} has at most {format_amount(resource, most)} of {format_amount(resource, amount)}"
    return ""


def _most(resource: Mapping[str, Any], shared: bool) -> Decimal | None:
    """The most that a flavor can provide of a resource; None if it may borrow without a limit."""
    nominal = quantity(resource.get("nominalQuota", "0"))
    if not shared:
        return nominal
    return nominal + quantity(resource["borrowingLimit"]) if resource.get("borrowingLimit") is not None else None


def _groups(cluster: Access, root: str, spec: Mapping[str, Any]) -> list[Group]:
    """A cluster queue's resource groups, each with its flavors and, if they may be read, their node labels."""
    return [
        Group(
            frozenset(group.get("coveredResources", ())),
            tuple(
                Flavor(
                    flavor["name"],
                    _labels(cluster, root, flavor["name"]),
                    {resource["name"]: resource for resource in flavor.get("resources", ())},
                )
                for flavor in group.get("flavors", ())
            ),
        )
        for group in spec.get("resourceGroups", ())
    ]


def _labels(cluster: Access, root: str, flavor: str) -> Mapping[str, str]:
    try:
        manifest = read(cluster, f"{root}/resourceflavors/{flavor}") or {}
    except ForbiddenError:
        return {}
    return dict(manifest.get("spec", {}).get("nodeLabels", {}))


def check_compute_class(cluster: Access, name: str) -> Iterator[CheckResult]:
    what = f"compute class {name}"
    if name in BUILT_IN:
        return
    manifest = read(cluster, f"/apis/cloud.google.com/v1/computeclasses/{name}")
    if manifest is not None:
        spec = manifest.get("spec", {})
        creates = "creates" if spec.get("nodePoolAutoCreation", {}).get("enabled", False) else "does not create"
        yield CheckResult("ok", what, f"{len(spec.get('priorities', ()))} priorities, {creates} node pools itself")
        return
    try:
        known = [each["metadata"]["name"] for each in list_items(cluster, "/apis/cloud.google.com/v1/computeclasses")]
    except ForbiddenError:
        known = []
    advice = f"{nearest(name, known)}; or apply" if known else "apply"
    yield CheckResult("fail", what, "does not exist", f"{advice} the manifest of the class first")
