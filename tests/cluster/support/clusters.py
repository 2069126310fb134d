"""A cluster for tests, with nodes of GKE's kind."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import pytest
from api import SELECTOR, Api, Object, eventually, names
from control_plane import ControlPlane

REQUIRED = "SUANLI_REQUIRE_CLUSTER"


def leave(reason: str) -> NoReturn:
    """Skip the test, or fail it where the cluster is required."""
    if os.environ.get(REQUIRED):
        pytest.fail(reason)
    pytest.skip(reason)


@dataclass
class Cluster:
    """A cluster for tests.

    Attributes:
        api: a way into it with all rights.
        plane: its processes, where they are ours.
    """

    api: Api
    plane: ControlPlane | None

    def pods(self, namespace: str) -> list[dict[str, Any]]:
        return self.api.items(f"/api/v1/namespaces/{namespace}/pods")

    def nodes(self) -> list[dict[str, Any]]:
        return self.api.items("/api/v1/nodes", labelSelector=SELECTOR)

    def furnish(self, nodes: Sequence[Object]) -> None:
        """Have these nodes and no other of ours, ready and without the taint that a new one has."""
        wanted = {each["metadata"]["name"]: each for each in nodes}
        assert len(wanted) == len(nodes), "two nodes of one name"
        self.api.delete("/api/v1/nodes", labelSelector=SELECTOR)
        eventually(self.nodes, lambda found: not found)
        self.api.create(*nodes)
        eventually(self.nodes, lambda found: names(found) == set(wanted) and all(map(_ready, found)))

    def clear(self, namespace: str) -> None:
        """Delete the namespace's pods."""
        self.api.delete(f"/api/v1/namespaces/{namespace}/pods")
        eventually(lambda: self.pods(namespace), lambda found: not found)


def _ready(node: Object) -> bool:
    conditions = {each["type"]: each["status"] for each in node["status"].get("conditions", ())}
    keys = {taint["key"] for taint in node["spec"].get("taints", ())}
    return conditions.get("Ready") == "True" and not any(key.startswith("node.kubernetes.io/") for key in keys)
