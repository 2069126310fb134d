"""A cluster's node pools by what the catalog calls them: how many nodes are ready, and what is free on them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from pipelines.cluster.kube.capacity import Load, quantity, shown
from pipelines.cluster.kube.nodes import Cluster
from pipelines.compile.check_result import CheckResult
from pipelines.hardware.catalog import Catalog, Row
from pipelines.hardware.catalog.row import CLASS_LABEL, RESOURCES
from pipelines.hardware.catalog.shapes import GPU_LABEL, MACHINE_LABEL, TPU_LABEL
from pipelines.hardware.ladder import Capacity, Rung
from pipelines.hardware.placement_parameters import CAPACITY_LABELS

Node = Mapping[str, Any]
CHIPS = tuple(filter(None, RESOURCES.values()))
PLAIN = "without accelerators"
# Names of nodes that one line may hold.
FEW = 3


def pools(cluster: Cluster, catalog: Catalog) -> Iterator[CheckResult]:
    """One line for each kind of node, and one for the pools that are scaled to zero."""
    kinds: dict[str, list[Node]] = {}
    for node in cluster.nodes:
        kinds.setdefault(_kind(node, catalog), []).append(node)
    plain = kinds.pop(PLAIN, [])
    for kind, nodes in (*sorted(kinds.items()), *([(PLAIN, plain)] if plain else [])):
        yield _pool(kind, nodes, cluster.loads or {})
    if cluster.empty_groups:
        names = ", ".join(f"{group.name} (0 of {group.largest})" for group in cluster.empty_groups)
        yield CheckResult("ok", "nodes at zero", f"pools that grow when a pod asks for them: {names}")
    elif not kinds and cluster.autopilot:
        yield CheckResult("ok", "nodes with accelerators", "none now: Autopilot makes them as pods ask for them")
    elif not kinds:
        unseen = " now (whether a pool is scaled to zero may not be read)" if cluster.groups is None else ""
        advice = "suanli nodepool NAME prints the command that creates a pool"
        yield CheckResult("warn", "nodes with accelerators", f"there is none{unseen}", advice)


def _kind(node: Node, catalog: Catalog) -> str:
    """``l4``, ``l4:spot``: what a user asks for to get this node; else what it is, in words."""
    labels = node["metadata"].get("labels", {})
    if CLASS_LABEL in labels:
        return f"of compute class {labels[CLASS_LABEL]}"
    row = next((row for row in catalog.values() if row.resource and _selected(row, labels)), None)
    if row:
        paid: Iterator[Capacity] = (name for name, label in CAPACITY_LABELS.items() if labels.get(label) == "true")
        return str(Rung(row, next(paid, "on-demand")))
    chip = labels.get(GPU_LABEL) or labels.get(TPU_LABEL) or ", ".join(_chips(node))
    return f"of no row ({labels.get(MACHINE_LABEL, 'unknown machine')} with {chip})" if chip else PLAIN


def _selected(row: Row, labels: Mapping[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in row.labels.items())


def _chips(node: Node) -> dict[str, Decimal]:
    """The accelerators that a node offers."""
    allocatable = node.get("status", {}).get("allocatable", {})
    return {name: amount for name in CHIPS if (amount := quantity(allocatable.get(name, "0")))}


def _pool(kind: str, nodes: Sequence[Node], loads: Mapping[str, Load]) -> CheckResult:
    what = f"nodes {kind}"
    cordoned = [node for node in nodes if node.get("spec", {}).get("unschedulable")]
    broken = [node for node in nodes if node not in cordoned and not _ready(node)]
    ready = [node for node in nodes if node not in cordoned and node not in broken]
    states = {"ready": ready, "cordoned": cordoned, "not ready": broken}
    found = ", ".join(
        f"{len(some)} {state}{f' ({_names(some)})' if state != 'ready' else ''}"
        for state, some in states.items()
        if some or state == "ready"
    )
    found += "".join(f", {text}" for text in _free(ready, loads))
    if not ready:
        mend = (
            f"kubectl uncordon {_names(cordoned)}" if cordoned else f"kubectl describe node {_names(broken)} says why"
        )
        return CheckResult("warn", what, found, mend)
    if kind != PLAIN and not any(map(_chips, ready)):
        return CheckResult(
            "warn", what, f"{found}, and no accelerator on offer", "is its driver or device plugin there?"
        )
    if kind.startswith("of no row"):
        return CheckResult("warn", what, found, "no --accelerator means them; write a row into accelerators.toml")
    return CheckResult("ok", what, found)


def _ready(node: Node) -> bool:
    return all(
        condition["status"] == "True"
        for condition in node.get("status", {}).get("conditions") or ()
        if condition["type"] == "Ready"
    )


def _names(nodes: Sequence[Node]) -> str:
    more = f" and {len(nodes) - FEW} more" if len(nodes) > FEW else ""
    return ", ".join(node["metadata"]["name"] for node in nodes[:FEW]) + more


def _free(nodes: Iterable[Node], loads: Mapping[str, Load]) -> Iterator[str]:
    """How many accelerators no pod has asked for, as far as pods may be listed."""
    total: dict[str, Decimal] = {}
    used: dict[str, Decimal] = {}
    for node in nodes:
        load = loads.get(node["metadata"]["name"])
        for name, amount in _chips(node).items():
            total[name] = total.get(name, Decimal(0)) + amount
            used[name] = used.get(name, Decimal(0)) + (load.everything.get(name, Decimal(0)) if load else Decimal(0))
    for name, amount in total.items():
        yield f"{shown(name, amount - used[name])} free of {amount}"
