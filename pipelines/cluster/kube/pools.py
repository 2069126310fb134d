"""A cluster's node pools by their names in the catalog: how many nodes are ready, and what is free on them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from pipelines.cluster.kube.capacity import Load, format_amount
from pipelines.cluster.kube.nodes import Inventory
from pipelines.compile.check_result import CheckResult
from pipelines.hardware.catalog import Catalog
from pipelines.hardware.catalog.row import CLASS_LABEL, RESOURCES
from pipelines.hardware.catalog.shapes import GPU_LABEL, MACHINE_LABEL, TPU_LABEL
from pipelines.hardware.ladder import Capacity, Rung
from pipelines.hardware.placement_parameters import CAPACITY_LABELS
from pipelines.hardware.pods import quantity

Node = Mapping[str, Any]
CHIPS = tuple(filter(None, RESOURCES.values()))
PLAIN = "without accelerators"
# The largest number of node names in one line.
FEW = 3


def check_pools(inventory: Inventory, catalog: Catalog) -> Iterator[CheckResult]:
    """One result for each kind of node, and one for the pools that are scaled to zero."""
    kinds: dict[str, list[Node]] = {}
    for node in inventory.nodes:
        kinds.setdefault(_kind(node, catalog), []).append(node)
    plain = kinds.pop(PLAIN, [])
    for kind, nodes in (*sorted(kinds.items()), *([(PLAIN, plain)] if plain else [])):
        yield _pool(kind, nodes, inventory.loads)
    if inventory.empty_groups:
        names = ", ".join(f"{group.name} (0 of {group.largest})" for group in inventory.empty_groups)
        yield CheckResult("ok", "nodes at zero", f"pools that grow on demand: {names}")
    elif not kinds and inventory.autopilot:
        yield CheckResult("ok", "nodes with accelerators", "none now: Autopilot creates them on demand")
    elif not kinds:
        unseen = " now (whether a pool is scaled to zero may not be read)" if inventory.groups is None else ""
        advice = "suanli nodepool NAME prints the command that creates a pool"
        yield CheckResult("warn", "nodes with accelerators", f"none{unseen}", advice)


def _kind(node: Node, catalog: Catalog) -> str:
    """``l4``, ``l4:spot``: the --accelerator that selects this node; else a description."""
    labels = node["metadata"].get("labels", {})
    if CLASS_LABEL in labels:
        return f"of compute class {labels[CLASS_LABEL]}"
    selecting = (row for row in catalog.values() if row.resource and row.labels.items() <= labels.items())
    if row := next(selecting, None):
        paid: Iterator[Capacity] = (name for name, label in CAPACITY_LABELS.items() if labels.get(label) == "true")
        return str(Rung(row, next(paid, "on-demand")))
    chip = labels.get(GPU_LABEL) or labels.get(TPU_LABEL) or ", ".join(_chips(node))
    return f"in no row ({labels.get(MACHINE_LABEL, 'unknown machine')} with {chip})" if chip else PLAIN


def _chips(node: Node) -> dict[str, Decimal]:
    """The accelerators that a node offers."""
    allocatable = node.get("status", {}).get("allocatable", {})
    return {name: amount for name in CHIPS if (amount := quantity(allocatable.get(name, "0")))}


def _pool(kind: str, nodes: Sequence[Node], loads: Mapping[str, Load] | None) -> CheckResult:
    what = f"nodes {kind}"
    cordoned = [node for node in nodes if node.get("spec", {}).get("unschedulable")]
    broken = [node for node in nodes if node not in cordoned and not _ready(node)]
    ready = [node for node in nodes if node not in cordoned and node not in broken]
    states = {"ready": ready, "cordoned": cordoned, "not ready": broken}
    summary = ", ".join(
        f"{len(some)} {state}{f' ({_names(some)})' if state != 'ready' else ''}"
        for state, some in states.items()
        if some or state == "ready"
    )
    summary += "".join(f", {text}" for text in _free(ready, loads))
    if not ready:
        advice = (
            f"kubectl uncordon {_names(cordoned)}" if cordoned else f"kubectl describe node {_names(broken)} shows why"
        )
        return CheckResult("warn", what, summary, advice)
    if kind != PLAIN and not any(map(_chips, ready)):
        return CheckResult(
            "warn", what, f"{summary}, and no accelerator on offer", "is its driver or device plugin there?"
        )
    if kind.startswith("in no row"):
        return CheckResult("warn", what, summary, "no --accelerator selects them; write a row into accelerators.toml")
    return CheckResult("ok", what, summary)


def _ready(node: Node) -> bool:
    return all(
        condition["status"] == "True"
        for condition in node.get("status", {}).get("conditions") or ()
        if condition["type"] == "Ready"
    )


def _names(nodes: Sequence[Node]) -> str:
    more = f" and {len(nodes) - FEW} more" if len(nodes) > FEW else ""
    return ", ".join(node["metadata"]["name"] for node in nodes[:FEW]) + more


def _free(nodes: Iterable[Node], loads: Mapping[str, Load] | None) -> Iterator[str]:
    """How many accelerators no pod has requested; if pods may not be listed, how many there are."""
    total: dict[str, Decimal] = {}
    used: dict[str, Decimal] = {}
    for node in nodes:
        load = (loads or {}).get(node["metadata"]["name"])
        for name, amount in _chips(node).items():
            total[name] = total.get(name, Decimal(0)) + amount
            used[name] = used.get(name, Decimal(0)) + (load.total.get(name, Decimal(0)) if load else Decimal(0))
    for name, amount in total.items():
        whole = format_amount(name, amount)
        yield whole if loads is None else f"{format_amount(name, amount - used[name])} free of {amount}"
