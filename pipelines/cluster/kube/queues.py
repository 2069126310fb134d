"""Whether a Kueue queue would ever admit a pod, and whether a GKE ComputeClass is there.

Source: kubernetes-sigs/kueue, apis/kueue/{v1beta1,v1beta2} at v0.19.2.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from components.core.choices import nearest
from pipelines.cluster.kube.access import Access, ForbiddenError, listed, read
from pipelines.cluster.kube.capacity import Pod, asked, quantity, shown
from pipelines.compile.check_result import CheckResult
from pipelines.hardware.pods import QUEUE_LABEL

KUEUE = "kueue.x-k8s.io"
# The first one that the server serves: v1beta1 is deprecated, and the only one before Kueue 0.15.
VERSIONS = ("v1beta2", "v1beta1")
OTHER = "have it mended, or take another --queue"
# Classes that GKE brings itself, without an object.
BUILT_IN = {"Accelerator", "Balanced", "Performance", "Scale-Out", "autopilot", "autopilot-spot", "general-purpose"}


class Flavor(NamedTuple):
    """A kind of capacity: the labels of its nodes, and what a cluster queue has of each of its resources."""

    name: str
    labels: Mapping[str, str]
    resources: Mapping[str, Mapping[str, Any]]


class Group(NamedTuple):
    """Resources that a cluster queue gives out together, and the flavors that they come in."""

    resources: frozenset[str]
    flavors: tuple[Flavor, ...]


def queue(
    way: Access, namespace: str, name: str, pods: Sequence[Pod], labels: Mapping[str, str]
) -> Iterator[CheckResult]:
    """The local queue, its cluster queue, and whether that holds what the queued pods ask for.

    Args:
        way: into the cluster.
        namespace: the pods' namespace.
        name: the local queue's name.
        pods: the pods; those with the queue's label are looked at.
        labels: the namespace's labels, which the cluster queue may select.
    """
    what = f"queue {name}"
    served = version(way)
    if not served:
        yield CheckResult("fail", what, "the cluster has no Kueue", "submit without --queue, or have Kueue installed")
        return
    root = f"/apis/{KUEUE}/{served}"
    local = read(way, f"{root}/namespaces/{namespace}/localqueues/{name}")
    if local is None:
        yield CheckResult(
            "fail", what, f"there is none in {namespace}", _others(way, f"{root}/namespaces/{namespace}", name)
        )
        return
    if (policy := local.get("spec", {}).get("stopPolicy", "None")) != "None":
        yield CheckResult("warn", what, f"it is stopped ({policy})", "it admits nothing until it is started again")
    if reason := _inactive(local):
        yield CheckResult("fail", what, f"it is not active: {reason}", OTHER)
    target = local.get("spec", {}).get("clusterQueue", "")
    try:
        cluster_queue = read(way, f"{root}/clusterqueues/{target}")
    except ForbiddenError:
        yield CheckResult("warn", what, f"no right to get clusterqueues.{KUEUE}", f"what {target} holds is not checked")
        return
    if cluster_queue is None:
        yield CheckResult("fail", what, f"its cluster queue {target} does not exist", OTHER)
        return
    groups = _groups(way, root, cluster_queue.get("spec", {}))
    yield from _holds(what, cluster_queue, groups, [pod for pod in pods if pod.labels.get(QUEUE_LABEL) == name], labels)


def version(way: Access) -> str:
    """The version to read Kueue's objects in; empty where it is not installed."""
    group = read(way, f"/apis/{KUEUE}") or {}
    served = {each["version"] for each in group.get("versions", ())}
    return next((version for version in VERSIONS if version in served), "")


def _others(way: Access, root: str, name: str) -> str:
    try:
        known = [each["metadata"]["name"] for each in listed(way, f"{root}/localqueues")]
    except ForbiddenError:
        return ""
    return nearest(name, known) if known else "it has no local queue"


def _inactive(queue: Mapping[str, Any]) -> str:
    """Why a queue is not active, by its own condition; empty where it is."""
    for condition in queue.get("status", {}).get("conditions", ()):
        if condition.get("type") == "Active" and condition.get("status") == "False":
            return str(condition.get("message") or condition.get("reason"))
    return ""


def _holds(
    what: str, queue: Mapping[str, Any], groups: Sequence[Group], pods: Sequence[Pod], labels: Mapping[str, str]
) -> Iterator[CheckResult]:
    name, spec = queue["metadata"]["name"], queue.get("spec", {})
    if reason := _inactive(queue):
        yield CheckResult("fail", what, f"its cluster queue {name} is not active: {reason}", OTHER)
        return
    if not _selects(spec.get("namespaceSelector"), labels):
        yield CheckResult(
            "fail", what, f"its cluster queue {name} does not take this namespace", "have its namespaceSelector changed"
        )
        return
    shared = bool(spec.get("cohort") or spec.get("cohortName"))
    bad = [finding for pod in pods for finding in _quota(what, name, groups, shared, pod)]
    yield from bad
    if not bad:
        waiting = int(queue.get("status", {}).get("pendingWorkloads") or 0)
        yield CheckResult("ok", what, f"cluster queue {name}, {waiting} waiting")


def _selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """A label selector of Kubernetes: none selects nothing, an empty one everything."""
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


def _quota(what: str, name: str, groups: Sequence[Group], shared: bool, pod: Pod) -> Iterator[CheckResult]:
    """What a pod asks for and no flavor of a cluster queue could ever give."""
    wanted = asked(pod)
    covered = {resource for group in groups for resource in group.resources}
    for resource in wanted:
        if resource not in covered:
            found = f"its cluster queue {name} does not cover {resource}, which {pod.step} asks for"
            yield CheckResult("fail", what, found, f"it covers {', '.join(sorted(covered)) or 'nothing'}")
    for group in groups:
        # All resources of a group come from one flavor.
        inside = {resource: amount for resource, amount in wanted.items() if resource in group.resources}
        reasons = [_short(flavor, pod, inside, shared) for flavor in group.flavors]
        if inside and reasons and all(reasons):
            found = f"no flavor of its cluster queue {name} has what {pod.step} asks for: {'; '.join(reasons)}"
            yield CheckResult("fail", what, found, "ask for what it has, or have a flavor added")


def _short(flavor: Flavor, pod: Pod, wanted: Mapping[str, Decimal], shared: bool) -> str:
    """Why a flavor can never hold a pod; empty where it can.

    A flavor's node labels must not contradict the pod's selector (Kueue, "Resource Flavor").
    """
    for key, value in flavor.labels.items():
        if pod.node_selector.get(key, value) != value:
            return f"{flavor.name} is for {key}={value}"
    for resource, amount in wanted.items():
        most = _most(flavor.resources.get(resource, {}), shared)
        if most is not None and amount > most:
            return f"{flavor.name} has at most {shown(resource, most)} of {shown(resource, amount)}"
    return ""


def _most(resource: Mapping[str, Any], shared: bool) -> Decimal | None:
    """What one flavor can give of a resource; None where it may borrow without a limit."""
    nominal = quantity(resource.get("nominalQuota", "0"))
    if not shared:
        return nominal
    return nominal + quantity(resource["borrowingLimit"]) if resource.get("borrowingLimit") is not None else None


def _groups(way: Access, root: str, spec: Mapping[str, Any]) -> list[Group]:
    """A cluster queue's resource groups, each with its flavors and their node labels where they may be read."""
    return [
        Group(
            frozenset(group.get("coveredResources", ())),
            tuple(
                Flavor(
                    flavor["name"],
                    _labels(way, root, flavor["name"]),
                    {resource["name"]: resource for resource in flavor.get("resources", ())},
                )
                for flavor in group.get("flavors", ())
            ),
        )
        for group in spec.get("resourceGroups", ())
    ]


def _labels(way: Access, root: str, flavor: str) -> Mapping[str, str]:
    try:
        found = read(way, f"{root}/resourceflavors/{flavor}") or {}
    except ForbiddenError:
        return {}
    return dict(found.get("spec", {}).get("nodeLabels", {}))


def compute_class(way: Access, name: str) -> Iterator[CheckResult]:
    """Whether GKE knows the class."""
    what = f"compute class {name}"
    if name in BUILT_IN:
        return
    found = read(way, f"/apis/cloud.google.com/v1/computeclasses/{name}")
    if found is not None:
        automatic = found.get("spec", {}).get("nodePoolAutoCreation", {}).get("enabled", False)
        rules = len(found.get("spec", {}).get("priorities", ()))
        yield CheckResult(
            "ok", what, f"{rules} priorities, {'makes' if automatic else 'does not make'} node pools itself"
        )
        return
    try:
        known = [each["metadata"]["name"] for each in listed(way, "/apis/cloud.google.com/v1/computeclasses")]
    except ForbiddenError:
        known = []
    advice = f"{nearest(name, known)}; or apply" if known else "apply"
    yield CheckResult("fail", what, "there is none", f"{advice} the manifest of the class first")
