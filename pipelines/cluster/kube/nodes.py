"""Which nodes fit each pod, what the others lack, and which pools are scaled to zero."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import yaml

from pipelines.cluster.kube import capacity
from pipelines.cluster.kube.capacity import Fit, Load, Pod, format_amount
from pipelines.compile.check_result import CheckResult, Level
from pipelines.hardware.catalog.row import CLASS_LABEL as CLASS
from pipelines.hardware.catalog.shapes import GPU_LABEL as GPU
from pipelines.hardware.catalog.shapes import MACHINE_LABEL as MACHINE
from pipelines.hardware.catalog.shapes import TOPOLOGY_LABEL as TPU_TOPOLOGY
from pipelines.hardware.catalog.shapes import TPU_LABEL as TPU

POOL = "cloud.google.com/gke-nodepool"
# A pool for the steps without accelerators.
CPU_POOL = "cpu-8"
# Config Sync recognizes an Autopilot cluster by it too: "only Autopilot clusters have nodes with the prefix gk3-".
AUTOPILOT = "gk3-"


@dataclass(frozen=True)
class Group:
    """A node group of the cluster autoscaler."""

    name: str
    size: int
    largest: int


@dataclass(frozen=True)
class Inventory:
    """The nodes of a cluster.

    Attributes:
        nodes: the Node objects.
        loads: node -> the requests of its pods; None if pods may not be listed.
        gke: whether it is Google Kubernetes Engine.
        autopilot: whether GKE creates nodes as pods ask for them.
        groups: the autoscaler's node groups; None if its status may not be read.
        accelerator: the catalog's name of the requested accelerator, for advice.
    """

    nodes: Sequence[Mapping[str, Any]]
    loads: Mapping[str, Load] | None = None
    gke: bool = False
    autopilot: bool = False
    groups: Sequence[Group] | None = None
    accelerator: str = ""

    @property
    def empty_groups(self) -> list[Group]:
        """Groups that are scaled to zero and can grow."""
        return [group for group in self.groups or () if group.size == 0 < group.largest]


def inventory(values: Mapping[str, Any], *, gke: bool, autopilot: bool, accelerator: str = "") -> Inventory:
    """The nodes out of the results of ``reads.common_reads``.

    Args:
        autopilot: whether the cluster is known to be Autopilot; the names of its nodes show it too.
    """
    status = (values.get("groups") or {}).get("data", {}).get("status")
    return Inventory(
        nodes=values["nodes"],
        loads=values.get("loads"),
        gke=gke,
        autopilot=autopilot or any(node["metadata"]["name"].startswith(AUTOPILOT) for node in values["nodes"]),
        groups=parse_groups(status) if status else None,
        accelerator=accelerator,
    )


def parse_groups(status: str) -> list[Group]:
    """The node groups in the autoscaler's status: YAML since 1.30, text before.

    Source: kubernetes/autoscaler, cluster-autoscaler/clusterstate.
    """
    try:
        document = yaml.safe_load(status)
        groups = document["nodeGroups"] if isinstance(document, dict) and "nodeGroups" in document else None
        if groups is not None:
            health = [(group["name"], group.get("health") or {}) for group in groups]
            return [
                Group(_short(name), int(one.get("cloudProviderTarget", 0)), int(one.get("maxSize", 0)))
                for name, one in health
            ]
    except (yaml.YAMLError, KeyError, TypeError, ValueError):
        pass
    pattern = r"Name:\s+(\S+)\s+Health:.*?cloudProviderTarget=(\d+) \(minSize=\d+, maxSize=(\d+)\)"
    return [Group(_short(name), int(size), int(most)) for name, size, most in re.findall(pattern, status, re.DOTALL)]


def _short(name: str) -> str:
    """A group's own name, out of its address."""
    return name.rpartition("/")[2]


def autopilot_rules(pod: Pod) -> Iterator[CheckResult]:
    """What GKE Autopilot refuses.

    Source: argo-workflows#13073; Google Cloud, "Deploy GPU workloads in Autopilot".
    """
    what, selector = f"{pod.step}: Autopilot", pod.node_selector
    if POOL in selector:
        yield CheckResult("fail", what, f"it forbids the selector {POOL}", "take it out of the row's labels")
    if CLASS in selector:
        return
    if "nvidia.com/gpu" in pod.limits and GPU not in selector:
        yield CheckResult("fail", what, f"a GPU needs a selector {GPU} or {CLASS}", "choose an --accelerator")
    if "google.com/tpu" in pod.limits and not {TPU, TPU_TOPOLOGY} <= set(selector):
        yield CheckResult("fail", what, f"a TPU needs selectors {TPU} and {TPU_TOPOLOGY}", "choose an --accelerator")


def check_pods(pods: Sequence[Pod], inventory: Inventory) -> Iterator[CheckResult]:
    """One result for the pods that ask for the same nodes."""

    def requirements(pod: Pod) -> Any:
        return sorted(pod.node_selector.items()), pod.affinity, pod.tolerations, sorted(capacity.requested(pod).items())

    for steps, pod in capacity.group_pods(pods, requirements):
        yield _check_pod(steps, pod, inventory)


def _check_pod(steps: str, pod: Pod, inventory: Inventory) -> CheckResult:
    """Report the first of labels, taints, size and load that no node meets."""
    what, loads = f"{steps}: nodes", inventory.loads
    # GKE's admission tolerates the taint of a requested resource (ExtendedResourceToleration).
    admitted = [name for name in pod.limits if "/" in name] if inventory.gke else []
    fits = [capacity.fit(pod, node, (loads or {}).get(node["metadata"]["name"]), admitted) for node in inventory.nodes]
    labelled = [fit for fit in fits if not fit.labels]
    if not labelled:
        return _unlabelled(what, pod, fits, inventory)
    tolerated = [fit for fit in labelled if not fit.taints]
    if not tolerated:
        return _tainted(what, labelled, inventory)
    large = [fit for fit in tolerated if not fit.short]
    if not large:
        return _too_small(what, pod, tolerated, inventory)
    if loads is None:
        return CheckResult("ok", what, f"{len(large)} of {len(fits)} fit")
    free = [fit for fit in large if not fit.busy]
    if free:
        return CheckResult("ok", what, f"{len(large)} of {len(fits)} fit, {len(free)} with room now")
    return _full(what, pod, large, inventory)


def _grows(pod: Pod, inventory: Inventory) -> bool:
    """Whether the cluster is known to create nodes on demand."""
    return inventory.autopilot or CLASS in pod.node_selector or bool(inventory.empty_groups)


def _unlabelled(what: str, pod: Pod, fits: Sequence[Fit], inventory: Inventory) -> CheckResult:
    level: Level = "warn" if inventory.gke or _grows(pod, inventory) else "fail"
    advice = _growth(pod, inventory)
    best = min(fits, key=lambda fit: len(fit.labels), default=None)
    accelerated = any("/" in resource for resource in pod.limits)
    if best and accelerated and len(best.labels) == 1 and MACHINE in best.labels[0] and not inventory.autopilot:
        advice = f"if {best.node} is the pool, give its machine_type to the row in accelerators.toml; {advice}"
    return CheckResult(level, what, _nearest(pod, fits, inventory), advice)


def _nearest(pod: Pod, fits: Sequence[Fit], inventory: Inventory) -> str:
    """The labels that no node has, and the node that comes nearest."""
    if not fits:
        return "there are no nodes"
    wanted = len(pod.node_selector) + len(pod.affinity)
    best = min(fits, key=lambda fit: len(fit.labels))
    if len(best.labels) < wanted or not pod.node_selector:
        return f"no node of {len(fits)} has the labels; {best.node} comes nearest: {', '.join(best.labels)}"
    wants = []
    for key, value in pod.node_selector.items():
        labels = (node["metadata"].get("labels", {}) for node in inventory.nodes)
        values = sorted({one[key] for one in labels if key in one})
        existing = f"there is {', '.join(values)}" if values else "no node has such a label"
        wants.append(f"{key}={value} ({existing})")
    return f"no node of {len(fits)} has {', nor '.join(wants)}"


def _growth(pod: Pod, inventory: Inventory) -> str:
    """What to do about missing nodes, or whether the cluster creates them itself."""
    if inventory.autopilot:
        return "Autopilot creates the node when the pod asks for it"
    if CLASS in pod.node_selector:
        return f"the compute class {pod.node_selector[CLASS]} creates the node when the pod asks for it"
    accelerated = any("/" in resource for resource in pod.limits)
    name = (inventory.accelerator or "NAME") if accelerated else CPU_POOL
    pool = f"suanli nodepool {name} prints the command that creates a pool"
    if inventory.empty_groups:
        names = ", ".join(f"{group.name} (0 of {group.largest})" for group in inventory.empty_groups)
        return f"fine if its pool is scaled to zero: {names}; else {pool}"
    if inventory.groups is not None and inventory.gke:
        return f"no pool is scaled to zero, so only node auto-provisioning could create it: {pool}"
    if inventory.gke:
        return f"fine if its pool is scaled to zero, or created by node auto-provisioning; else {pool}"
    if not pod.node_selector:
        return "add nodes for the steps without accelerators"
    return "label the nodes, or change the row's labels in accelerators.toml"


def _tainted(what: str, fits: Sequence[Fit], inventory: Inventory) -> CheckResult:
    taints = sorted({taint for fit in fits for taint in fit.taints})
    waiting = any(all(capacity.is_condition(taint) for taint in fit.taints) for fit in fits)
    summary = f"{_nodes(fits)} the labels, each with a taint that the pod does not tolerate: {', '.join(taints)}"
    if waiting:
        return CheckResult("warn", what, summary, "it waits until a node is ready again")
    level: Level = "warn" if inventory.autopilot else "fail"
    return CheckResult(level, what, summary, "add the taint to the row in accelerators.toml")


def _too_small(what: str, pod: Pod, fits: Sequence[Fit], inventory: Inventory) -> CheckResult:
    """Nodes of the right kind that could not hold the pod even if they were empty."""
    wanted = capacity.requested(pod)
    best = min(fits, key=lambda fit: _shortage(fit.short, wanted))
    words = [
        f"{format_amount(name, wanted[name])} wanted, at most {format_amount(name, offered)} for pods"
        for name, offered in best.short.items()
    ]
    missing = [name for name, offered in best.short.items() if offered <= 0 and name not in capacity.NATIVE]
    machines = {
        node["metadata"].get("labels", {}).get(MACHINE, "?")
        for node in inventory.nodes
        if node["metadata"]["name"] in {fit.node for fit in fits}
    }
    level: Level = "warn" if _grows(pod, inventory) else "fail"
    summary = f"{_nodes(fits)} the labels, none is large enough ({', '.join(sorted(machines))}): {', '.join(words)}"
    if missing:
        return CheckResult(
            level, what, summary, f"the node offers no {missing[0]}: is its driver or device plugin there?"
        )
    return CheckResult(
        level, what, summary, "give the pool's machine_type to the row in accelerators.toml, or ask for less"
    )


def _full(what: str, pod: Pod, large: Sequence[Fit], inventory: Inventory) -> CheckResult:
    """Nodes that could hold the pod if they were not in use."""
    wanted = {**capacity.requested(pod), "pods": Decimal(1)}
    best = min(large, key=lambda fit: _shortage(fit.busy, wanted))
    words = [
        f"{format_amount(name, wanted[name])} wanted, at most {format_amount(name, max(free, Decimal(0)))} free"
        for name, free in best.busy.items()
    ]
    advice = "it waits for another pod to end" + (", or for the autoscaler to add a node" if inventory.gke else "")
    return CheckResult("warn", what, f"{_nodes(large)} the kind and size, all in use: {', '.join(words)}", advice)


def _nodes(fits: Sequence[Fit]) -> str:
    return "1 node has" if len(fits) == 1 else f"{len(fits)} nodes have"


def _shortage(offered: Mapping[str, Decimal], wanted: Mapping[str, Decimal]) -> tuple[int, Decimal]:
    """How far a node is from the requests: fewer resources that are short, and less short, is nearer."""
    return len(offered), max((1 - amount / wanted[name] for name, amount in offered.items()), default=Decimal(0))
