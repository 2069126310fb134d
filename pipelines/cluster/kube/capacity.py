"""Which nodes a pod could be bound to by the scheduler's own rules, and what each other node lacks.

Rules: Kubernetes, "Assigning Pods to Nodes", "Taints and Tolerations", "Resource Management for Pods and Containers".
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from pipelines.hardware.pods import quantity

Amounts = dict[str, Decimal]
BINDING = ("NoSchedule", "NoExecute")
# Taints that come and go with a node's condition, or because the autoscaler removes it.
CONDITIONS = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/", "ToBeDeletedByClusterAutoscaler")
NATIVE = ("cpu", "memory", "ephemeral-storage", "pods")


class Pod(Protocol):
    """A step's pod before it is submitted; :class:`pipelines.hardware.pods.Pod` is one."""

    @property
    def step(self) -> str: ...
    @property
    def image(self) -> str: ...
    @property
    def node_selector(self) -> Mapping[str, str]: ...
    @property
    def tolerations(self) -> Sequence[Mapping[str, Any]]: ...
    @property
    def limits(self) -> Mapping[str, str]: ...
    @property
    def requests(self) -> Mapping[str, str]: ...
    @property
    def labels(self) -> Mapping[str, str]: ...
    @property
    def affinity(self) -> Sequence[Mapping[str, Any]]:
        """Required node affinity, as match expressions that must all hold."""


@dataclass(frozen=True)
class Fit:
    """A node compared with a pod; the pod fits if all of these but the name are empty.

    Attributes:
        node: the node's name.
        labels: the labels that the pod selects and the node lacks, in words.
        taints: taints of the node that the pod does not tolerate.
        short: resource -> what an empty node would offer, if that is too little.
        busy: resource -> what is free now, if that is too little.
    """

    node: str
    labels: tuple[str, ...]
    taints: tuple[str, ...]
    short: Mapping[str, Decimal]
    busy: Mapping[str, Decimal]


@dataclass(frozen=True)
class Load:
    """The requests of the pods on a node.

    Attributes:
        total: of all pods.
        daemons: of those that every such node carries.
    """

    total: Mapping[str, Decimal]
    daemons: Mapping[str, Decimal]


def format_amount(resource: str, amount: Decimal) -> str:
    """An amount as people write it: ``7.9 cpu``, ``26.5Gi memory``, ``2 nvidia.com/gpu``."""
    if resource in {"memory", "ephemeral-storage"}:
        return f"{float(amount) / 2**30:.4g}Gi {resource}"
    return f"{float(amount):.4g} {resource}"


def requested(pod: Pod) -> Amounts:
    """What the scheduler counts: requests, and limits of what is not requested."""
    amounts = {name: quantity(value) for name, value in {**pod.limits, **pod.requests}.items()}
    return {name: amount for name, amount in amounts.items() if amount}


def group_pods(pods: Iterable[Pod], key: Callable[[Pod], Any]) -> Iterator[tuple[str, Pod]]:
    """Pods with equal keys: the names of their steps, and one of them."""
    groups: dict[str, list[Pod]] = {}
    for pod in pods:
        groups.setdefault(repr(key(pod)), []).append(pod)
    for same in groups.values():
        yield ", ".join(pod.step for pod in same), same[0]


def loads(pods: Iterable[Mapping[str, Any]]) -> dict[str, Load]:
    """Node -> the requests of its pods, from the cluster's pods."""
    total: dict[str, Amounts] = {}
    daemons: dict[str, Amounts] = {}
    for pod in pods:
        node = pod["spec"].get("nodeName")
        if not node or pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}:
            continue
        amounts = _requests_of_pod(pod["spec"])
        owners = {owner.get("kind") for owner in pod["metadata"].get("ownerReferences", ())}
        # Static pods (kube-proxy) are owned by their node.
        for tally in (total, daemons) if owners & {"DaemonSet", "Node"} else (total,):
            _add(tally.setdefault(node, {}), amounts)
    return {node: Load(total[node], daemons.get(node, {})) for node in total}


def _add(tally: Amounts, amounts: Mapping[str, Decimal]) -> None:
    for name, amount in amounts.items():
        tally[name] = tally.get(name, Decimal(0)) + amount


def _requests_of_pod(spec: Mapping[str, Any]) -> Amounts:
    """A running pod's requests: its containers together, or the largest init container if that is more."""
    together: Amounts = {"pods": Decimal(1)}
    for container in spec.get("containers", ()):
        _add(together, _requests(container))
    largest: Amounts = {}
    for container in spec.get("initContainers", ()):
        amounts = _requests(container)
        if container.get("restartPolicy") == "Always":
            _add(together, amounts)
        for name, amount in amounts.items():
            largest[name] = max(largest.get(name, Decimal(0)), amount)
    amounts = {
        name: max(together.get(name, Decimal(0)), largest.get(name, Decimal(0))) for name in {*together, *largest}
    }
    _add(amounts, {name: quantity(value) for name, value in spec.get("overhead", {}).items()})
    return amounts


def _requests(container: Mapping[str, Any]) -> Amounts:
    resources = container.get("resources", {})
    merged = {**resources.get("limits", {}), **resources.get("requests", {})}
    return {name: quantity(value) for name, value in merged.items()}


def fit(pod: Pod, node: Mapping[str, Any], load: Load | None, admitted: Iterable[str] = ()) -> Fit:
    """Compare a node with a pod.

    Args:
        pod: what is to run.
        node: the cluster's Node.
        load: the requests of its pods, if they may be listed.
        admitted: taint keys that the cluster's admission tolerates for the pod.
    """
    spec, allocatable = node.get("spec", {}), node.get("status", {}).get("allocatable", {})
    wanted = {**requested(pod), "pods": Decimal(1)}
    daemons = load.daemons if load else {}
    taken = load.total if load else {}
    offered = {name: quantity(allocatable.get(name, "0")) for name in wanted if name != "pods" or name in allocatable}
    ever = {name: amount - daemons.get(name, 0) for name, amount in offered.items()}
    now = {name: amount - taken.get(name, 0) for name, amount in offered.items()}
    return Fit(
        node["metadata"]["name"],
        tuple(_lacking(pod, node["metadata"].get("labels", {}))),
        tuple(
            f"{taint['key']}={taint.get('value', '')}:{taint['effect']}"
            for taint in spec.get("taints", ())
            if taint["effect"] in BINDING and taint["key"] not in admitted and not _tolerated(taint, pod.tolerations)
        ),
        {name: amount for name, amount in ever.items() if amount < wanted[name]},
        {name: amount for name, amount in now.items() if amount < wanted[name]},
    )


def _lacking(pod: Pod, labels: Mapping[str, str]) -> Iterable[str]:
    """What the pod selects and these labels lack, in words."""
    for key, value in pod.node_selector.items():
        if key not in labels:
            yield f"lacks {key}={value}"
        elif labels[key] != value:
            yield f"has {key}={labels[key]}, not {value}"
    for rule in pod.affinity:
        if not _holds(rule, labels):
            values = ",".join(rule.get("values", ()))
            has = f"has {rule['key']}={labels[rule['key']]}" if rule["key"] in labels else f"lacks {rule['key']}"
            yield f"{has}, which must be {rule['operator']}{f' {values}' if values else ''}"


def _holds(rule: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """One match expression of a node affinity."""
    value, values = labels.get(rule["key"]), rule.get("values", ())
    match rule["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt" as operator:
            if value is None or not value.lstrip("-").isdigit():
                return False
            return int(value) > int(values[0]) if operator == "Gt" else int(value) < int(values[0])
    return False


def _tolerated(taint: Mapping[str, str], tolerations: Sequence[Mapping[str, Any]]) -> bool:
    return any(
        toleration.get("effect", "") in {"", taint["effect"]}
        and (
            toleration.get("key", "") in {"", taint["key"]}
            if toleration.get("operator", "Equal") == "Exists"
            else (toleration.get("key"), toleration.get("value", "")) == (taint["key"], taint.get("value", ""))
        )
        for toleration in tolerations
    )


def is_condition(taint: str) -> bool:
    """Whether a taint belongs to a node's condition (not ready, cordoned), not to its pool."""
    return taint.startswith(CONDITIONS)
