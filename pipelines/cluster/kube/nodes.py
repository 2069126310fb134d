"""Where each pod could run: the nodes that fit, what the others lack, and pools that are scaled to zero."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import yaml

from pipelines.cluster.kube import capacity
from pipelines.cluster.kube.capacity import Fit, Load, Pod, shown
from pipelines.compile.check_result import CheckResult, Level
from pipelines.hardware.catalog.row import CLASS_LABEL as CLASS
from pipelines.hardware.catalog.shapes import GPU_LABEL as GPU
from pipelines.hardware.catalog.shapes import MACHINE_LABEL as MACHINE
from pipelines.hardware.catalog.shapes import TOPOLOGY_LABEL as TPU_TOPOLOGY
from pipelines.hardware.catalog.shapes import TPU_LABEL as TPU

POOL = "cloud.google.com/gke-nodepool"
# Where the steps without accelerators run well.
CPU_POOL = "cpu-8"
# Config Sync knows an Autopilot cluster by it too: "only Autopilot clusters have nodes with the prefix gk3-".
AUTOPILOT = "gk3-"


@dataclass(frozen=True)
class Group:
    """A node group that the cluster autoscaler looks after."""

    name: str
    size: int
    largest: int


@dataclass(frozen=True)
class Cluster:
    """What is known of the cluster's nodes.

    Attributes:
        nodes: the Node objects.
        loads: node -> what its pods have asked for; None where pods may not be listed.
        gke: whether it is Google Kubernetes Engine.
        autopilot: whether GKE makes the nodes as pods ask for them.
        groups: the autoscaler's node groups; None where its status may not be read.
        accelerator: the catalog's name of what was asked for, for advice.
    """

    nodes: Sequence[Mapping[str, Any]]
    loads: Mapping[str, Load] | None = None
    gke: bool = False
    autopilot: bool = False
    groups: Sequence[Group] | None = None
    accelerator: str = ""

    @property
    def empty_groups(self) -> list[Group]:
        """Groups that are scaled to zero and may grow."""
        return [group for group in self.groups or () if group.size == 0 < group.largest]


def is_autopilot(nodes: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the nodes are GKE Autopilot's, by their names."""
    return any(node["metadata"]["name"].startswith(AUTOPILOT) for node in nodes)


def cluster_of(seen: Mapping[str, Any], *, gke: bool, autopilot: bool, accelerator: str = "") -> Cluster:
    """The nodes as ``looks.common`` has read them.

    Args:
        seen: look -> what was read; the nodes among it.
        autopilot: whether the cluster is known to be Autopilot; the names of its nodes tell it too.
    """
    status = (seen.get("groups") or {}).get("data", {}).get("status")
    return Cluster(
        nodes=seen["nodes"],
        loads=seen.get("loads"),
        gke=gke,
        autopilot=autopilot or is_autopilot(seen["nodes"]),
        groups=groups_of(status) if status else None,
        accelerator=accelerator,
    )


def groups_of(status: str) -> list[Group]:
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
    """What GKE Autopilot refuses at once.

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


def places(pods: Sequence[Pod], cluster: Cluster) -> Iterator[CheckResult]:
    """One line for each kind of place that the pods ask for."""
    for steps, pod in capacity.alike(pods, _wants):
        yield _place(steps, pod, cluster)


def _wants(pod: Pod) -> Any:
    return sorted(pod.node_selector.items()), pod.affinity, pod.tolerations, sorted(capacity.asked(pod).items())


def _place(steps: str, pod: Pod, cluster: Cluster) -> CheckResult:
    """The first of labels, taints, size and load that leaves no node."""
    what, loads = f"{steps}: nodes", cluster.loads
    # GKE's admission tolerates the taint of a resource that is asked for (ExtendedResourceToleration).
    admitted = [name for name in pod.limits if "/" in name] if cluster.gke else []
    fits = [capacity.fit(pod, node, (loads or {}).get(node["metadata"]["name"]), admitted) for node in cluster.nodes]
    chosen = [fit for fit in fits if not fit.labels]
    if not chosen:
        return _unlabelled(what, pod, fits, cluster)
    open_ = [fit for fit in chosen if not fit.taints]
    if not open_:
        return _tainted(what, chosen, cluster)
    large = [fit for fit in open_ if not fit.short]
    if not large:
        return _small(what, pod, open_, cluster)
    if loads is None:
        return CheckResult("ok", what, f"{len(large)} of {len(fits)} fit")
    free = [fit for fit in large if not fit.busy]
    if free:
        return CheckResult("ok", what, f"{len(large)} of {len(fits)} fit, {len(free)} with room now")
    return _full(what, pod, large, cluster)


def _grows(pod: Pod, cluster: Cluster) -> bool:
    """Whether the cluster is known to make nodes that are not there yet."""
    return cluster.autopilot or CLASS in pod.node_selector or bool(cluster.empty_groups)


def _unlabelled(what: str, pod: Pod, fits: Sequence[Fit], cluster: Cluster) -> CheckResult:
    level: Level = "warn" if cluster.gke or _grows(pod, cluster) else "fail"
    advice = _growth(pod, cluster)
    best = min(fits, key=lambda fit: len(fit.labels), default=None)
    held = any("/" in resource for resource in pod.limits)
    if best and held and len(best.labels) == 1 and MACHINE in best.labels[0] and not cluster.autopilot:
        advice = f"if {best.node} is the pool, give its machine_type to the row in accelerators.toml; {advice}"
    return CheckResult(level, what, _nearest(pod, fits, cluster), advice)


def _nearest(pod: Pod, fits: Sequence[Fit], cluster: Cluster) -> str:
    """What no node has, and the node that comes nearest."""
    if not fits:
        return "there are no nodes"
    wanted = len(pod.node_selector) + len(pod.affinity)
    best = min(fits, key=lambda fit: len(fit.labels))
    if len(best.labels) < wanted or not pod.node_selector:
        return f"no node of {len(fits)} has the labels; {best.node} comes nearest: {', '.join(best.labels)}"
    wants = []
    for key, value in pod.node_selector.items():
        labels = (node["metadata"].get("labels", {}) for node in cluster.nodes)
        seen = sorted({one[key] for one in labels if key in one})
        there = f"there is {', '.join(seen)}" if seen else "no node has such a label"
        wants.append(f"{key}={value} ({there})")
    return f"no node of {len(fits)} has {', nor '.join(wants)}"


def _growth(pod: Pod, cluster: Cluster) -> str:
    """What to do where nodes are not there, or whether they come by themselves."""
    if cluster.autopilot:
        return "Autopilot makes the node when the pod asks for it"
    if CLASS in pod.node_selector:
        return f"the compute class {pod.node_selector[CLASS]} makes the node when the pod asks for it"
    held = any("/" in resource for resource in pod.limits)
    name = (cluster.accelerator or "NAME") if held else CPU_POOL
    pool = f"suanli nodepool {name} prints the command that creates a pool"
    if cluster.empty_groups:
        names = ", ".join(f"{group.name} (0 of {group.largest})" for group in cluster.empty_groups)
        return f"right where its pool is scaled to zero: {names}; else {pool}"
    if cluster.groups is not None and cluster.gke:
        return f"no pool is scaled to zero, so only node auto-provisioning could make it: {pool}"
    if cluster.gke:
        return f"right where its pool is scaled to zero, or made by node auto-provisioning; else {pool}"
    if not pod.node_selector:
        return "add nodes for the steps without accelerators"
    return "label the nodes, or change the row's labels in accelerators.toml"


def _tainted(what: str, chosen: Sequence[Fit], cluster: Cluster) -> CheckResult:
    taints = sorted({taint for fit in chosen for taint in fit.taints})
    waiting = any(all(capacity.passing(taint) for taint in fit.taints) for fit in chosen)
    found = f"{_nodes(chosen)} the labels, each with a taint that the pod does not tolerate: {', '.join(taints)}"
    if waiting:
        return CheckResult("warn", what, found, "it waits until a node is ready again")
    level: Level = "warn" if cluster.autopilot else "fail"
    return CheckResult(level, what, found, "add the taint to the row in accelerators.toml")


def _small(what: str, pod: Pod, open_: Sequence[Fit], cluster: Cluster) -> CheckResult:
    """Nodes of the right kind that could not hold the pod even alone."""
    wanted = capacity.asked(pod)
    best = min(open_, key=lambda fit: _shortage(fit.short, wanted))
    words = [
        f"{shown(name, wanted[name])} wanted, at most {shown(name, offered)} for pods"
        for name, offered in best.short.items()
    ]
    missing = [name for name, offered in best.short.items() if offered <= 0 and name not in capacity.NATIVE]
    machines = {
        node["metadata"].get("labels", {}).get(MACHINE, "?")
        for node in cluster.nodes
        if node["metadata"]["name"] in {fit.node for fit in open_}
    }
    level: Level = "warn" if _grows(pod, cluster) else "fail"
    found = f"{_nodes(open_)} the labels, none is large enough ({', '.join(sorted(machines))}): {', '.join(words)}"
    if missing:
        return CheckResult(
            level, what, found, f"the node offers no {missing[0]}: is its driver or device plugin there?"
        )
    return CheckResult(
        level, what, found, "give the pool's machine_type to the row in accelerators.toml, or ask for less"
    )


def _full(what: str, pod: Pod, large: Sequence[Fit], cluster: Cluster) -> CheckResult:
    """Nodes that could hold the pod, were they not in use."""
    wanted = {**capacity.asked(pod), "pods": Decimal(1)}
    best = min(large, key=lambda fit: _shortage(fit.busy, wanted))
    words = [
        f"{shown(name, wanted[name])} wanted, at most {shown(name, max(free, Decimal(0)))} free"
        for name, free in best.busy.items()
    ]
    advice = "it waits for another pod to end" + (", or for the autoscaler to add a node" if cluster.gke else "")
    return CheckResult("warn", what, f"{_nodes(large)} the kind and size, all in use: {', '.join(words)}", advice)


def _nodes(fits: Sequence[Fit]) -> str:
    return "1 node has" if len(fits) == 1 else f"{len(fits)} nodes have"


def _shortage(less: Mapping[str, Decimal], wanted: Mapping[str, Decimal]) -> tuple[int, Decimal]:
    """How far a node is from what is wanted: the fewer resources, and the smaller their lack, the nearer."""
    return len(less), max((1 - amount / wanted[name] for name, amount in less.items()), default=Decimal(0))
