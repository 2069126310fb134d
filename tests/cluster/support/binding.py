"""Pods handed to the real scheduler, and what became of them."""

from collections.abc import Mapping
from typing import Any

import steps
from api import Api, eventually

from pipelines.hardware.pods import Pod


def settled(api: Api, namespace: str, wanted: Mapping[str, Pod], copies: int = 1) -> dict[str, dict[str, Any]]:
    """Make pods all at once and wait until the scheduler has decided about each.

    Args:
        wanted: run -> its pod.
        copies: how many of each.

    Returns:
        Name -> pod, bound or refused.
    """
    made = [steps.manifest(pod, namespace, run, number) for run, pod in wanted.items() for number in range(copies)]
    api.create(*made)
    path = f"/api/v1/namespaces/{namespace}/pods"

    def decided(found: list[dict[str, Any]]) -> bool:
        return len(steps.bound(found)) + len(steps.refused(found)) == len(made)

    return {each["metadata"]["name"]: each for each in eventually(lambda: api.items(path), decided)}


def nodes_of(found: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Run -> the nodes that its pods are bound to, and ``-`` for each pod that is not."""
    runs: dict[str, list[str]] = {}
    for pod in found.values():
        runs.setdefault(pod["metadata"]["labels"][steps.RUN], []).append(pod["spec"].get("nodeName", "-"))
    return {run: sorted(nodes) for run, nodes in runs.items()}
