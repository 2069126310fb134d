"""Which nodes a pod could be bound to, by the scheduler's own rules, and what comes nearest where there is none.

Rules: Kubernetes, "Assigning Pods to Nodes", "Taints and Tolerations", "Resource Management for Pods and Containers".
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

Amounts = dict[str, Decimal]
SUFFIXES = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
QUANTITY = re.compile(r"^([+-]?(?:\d+\.?\d*|\.\d+))(?:([eE][+-]?\d+)|([KMGTPE]i)|([numkMGTPE]?))$")
BINDING = ("NoSchedule", "NoExecute")
# Taints that come and go with a node's condition, or with the autoscaler taking it away.
PASSING = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/", "ToBeDeletedByClusterAutoscaler")
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
    """A node against a pod; it fits where all of these are empty.

    Attributes:
        node: the node's name.
        labels: what the pod selects and the node lacks, in words.
        taints: taints of the node that the pod does not tolerate.
        short: resource -> what an empty node would offer, where that is too little.
        busy: resource -> what is free now, where that is too little.
    """

    node: str
    labels: tuple[str, ...]
    taints: tuple[str, ...]
    short: Mapping[str, Decimal]
    busy: Mapping[str, Decimal]


@dataclass(frozen=True)
class Load:
    """What the pods on a node have asked for: all of them, and those that every such node carries."""

    everything: Mapping[str, Decimal]
    daemons: Mapping[str, Decimal]


def quantity(text: Any) -> Decimal:
    """A Kubernetes quantity (``500m``, ``16Gi``, ``1e3``) as a number.

    Raises:
        ValueError: it is none.
    """
    match = QUANTITY.match(str(text))
    if not match:
        raise ValueError(f"{text!r} is no quantity")
    number, exponent, binary, suffix = match.groups(default="")
    return Decimal(number + exponent).scaleb(SUFFIXES[suffix]) * Decimal(1024) ** BINARY.get(binary, 0)


def shown(resource: str, amount: Decimal) -> str:
    """An amount as people write it: ``7.9 cpu``, ``26.5Gi memory``, ``2 nvidia.com/gpu``."""
    if resource in {"memory", "ephemeral-storage"}:
        return f"{float(amount) / 2**30:.4g}Gi {resource}"
    return f"{float(amount):.4g} {resource}"


def asked(pod: Pod) -> Amounts:
    """What the scheduler counts: requests, and limits where nothing is requested."""
    amounts = {name: quantity(value) for name, value in {**pod.limits, **pod.requests}.items()}
    return {name: amount for name, amount in amounts.items() if amount}


def alike(pods: Iterable[Pod], of: Callable[[Pod], Any]) -> Iterator[tuple[str, Pod]]:
    """Pods that have the same of something: the names of their steps, and one of them."""
    groups: dict[str, list[Pod]] = {}
    for pod in pods:
        groups.setdefault(repr(of(pod)), []).append(pod)
    for same in groups.values():
        yield ", ".join(pod.step for pod in same), same[0]


def load_of(pods: Iterable[Mapping[str, Any]]) -> dict[str, Load]:
    """Node -> what its pods have asked for, from the cluster's pods."""
    everything: dict[str, Amounts] = {}
    daemons: dict[str, Amounts] = {}
    for pod in pods:
        node = pod["spec"].get("nodeName")
        if not node or pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}:
            continue
        amounts = _asked_by(pod["spec"])
        owners = {owner.get("kind") for owner in pod["metadata"].get("ownerReferences", ())}
        # Static pods (kube-proxy) are owned by their node.
        for tally in (everything, daemons) if owners & {"DaemonSet", "Node"} else (everything,):
            _add(tally.setdefault(node, {}), amounts)
    return {node: Load(everything[node], daemons.get(node, {})) for node in everything}


def _add(tally: Amounts, amounts: Mapping[str, Decimal]) -> None:
    for name, amount in amounts.items():
        tally[name] = tally.get(name, Decimal(0)) + amount


def _asked_by(spec: Mapping[str, Any]) -> Amounts:
    """A running pod's requests: its containers together, or the largest init container where that is more."""
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
    """Hold a node against a pod.

    Args:
        pod: what is to run.
        node: the cluster's Node.
        load: what its pods have asked for, where they may be listed.
        admitted: taint keys that the cluster's admission tolerates for the pod.
    """
    spec, allocatable = node.get("spec", {}), node.get("status", {}).get("allocatable", {})
    wanted = {**asked(pod), "pods": Decimal(1)}
    daemons = load.daemons if load else {}
    taken = load.everything if load else {}
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
    """What the pod selects and these labels do not have, in words."""
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


def passing(taint: str) -> bool:
    """Whether a taint is one of a node's conditions (not ready, cordoned), not of its pool."""
    return taint.startswith(PASSING)
