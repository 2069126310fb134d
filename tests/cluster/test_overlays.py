"""Every overlay on a real API server: validated, applied twice without a change, and removed."""

import re
from collections.abc import Iterator
from typing import Any

import definitions
import kubeflow_namespace
import pytest
import yaml
from clusters import Cluster
from kubectl import APPLY, OVERLAYS, ROOT, kubectl, objects
from kubeflow_namespace import KUBEFLOWS, LAUNCHER, apply

NAMES = sorted(path.name for path in OVERLAYS.iterdir())


@pytest.fixture
def kubeflow(cluster: Cluster) -> Iterator[Cluster]:
    with kubeflow_namespace.furnished(cluster) as found:
        yield found


@pytest.fixture(scope="module")
def defined(cluster: Cluster) -> Cluster:
    """A cluster that knows the custom resources; nothing is kept there."""
    definitions.install(cluster.api)
    return cluster


def refused(cluster: Cluster, wrong: Any, match: str) -> None:
    """The server refuses an object, in a namespace that is there."""
    where = {"metadata": {**wrong["metadata"], "namespace": "default"}} if "namespace" in wrong["metadata"] else {}
    with pytest.raises(AssertionError, match=match):
        kubectl(cluster.api.kubeconfig, *APPLY, "--dry-run=server", stdin=yaml.safe_dump({**wrong, **where}))


def versions(cluster: Cluster, name: str) -> dict[str, str]:
    """Each object -> its identity and what the server counts up with each change of it."""
    found = {}
    for each in objects(name):
        group, _, version = each["apiVersion"].rpartition("/")
        kind = f"{each['kind']}.{version}.{group}" if group else each["kind"]
        where = each["metadata"].get("namespace", "default")
        columns = "jsonpath={.metadata.uid} {.metadata.resourceVersion} {.metadata.generation}"
        words = ("get", kind, each["metadata"]["name"], f"--namespace={where}", "-o", columns)
        found[f"{kind} {each['metadata']['name']}"] = kubectl(cluster.api.kubeconfig, *words)
    return found


def removal() -> list[str]:
    """The README's own commands, one a line."""
    text = (ROOT / "manifests/README.md").read_text()
    return re.findall(r"^kubectl (delete .*-l app\.kubernetes\.io/name=suanli)$", text, re.MULTILINE)


def ours(cluster: Cluster, name: str) -> list[str]:
    kinds = ",".join(sorted({each["kind"].lower() for each in objects(name)}))
    words = ("get", kinds, "--all-namespaces", "-l", "app.kubernetes.io/name=suanli", "-o", "name")
    return kubectl(cluster.api.kubeconfig, *words).split()


@pytest.mark.parametrize("name", NAMES)
def test_an_overlay_is_taken_and_changes_nothing_the_second_time(name: str, kubeflow: Cluster) -> None:
    count = len(objects(name))
    assert apply(kubeflow, name, "--dry-run=server").count("serverside-applied (server dry run)") == count
    assert ours(kubeflow, name) == []
    assert apply(kubeflow, name).count("serverside-applied") == count
    first = versions(kubeflow, name)
    apply(kubeflow, name)
    assert len(first) == count and versions(kubeflow, name) == first
    assert kubeflow.api.get(LAUNCHER)["data"].items() > KUBEFLOWS.items()


@pytest.mark.parametrize("name", NAMES)
def test_an_overlay_is_removed_by_the_readmes_commands_and_kubeflows_own_stays(name: str, kubeflow: Cluster) -> None:
    apply(kubeflow, name)
    # All but the namespace and the launcher's settings, which are Kubeflow's.
    assert len(ours(kubeflow, name)) == len(objects(name)) - 2
    commands = removal()
    assert len(commands) == 2
    for command in commands:
        kubectl(kubeflow.api.kubeconfig, *command.split())
    assert ours(kubeflow, name) == []
    assert kubeflow.api.get(LAUNCHER)["data"].items() >= KUBEFLOWS.items()


def test_one_overlay_can_follow_the_other(kubeflow: Cluster) -> None:
    for name in NAMES:
        apply(kubeflow, name)
    first = versions(kubeflow, NAMES[-1])
    apply(kubeflow, NAMES[-1])
    assert versions(kubeflow, NAMES[-1]) == first


@pytest.mark.parametrize(
    ("kind", "path", "word"),
    [
        ("Role", ("rules", 0, "verb"), "verb"),
        ("NetworkPolicy", ("spec", "egres"), "egres"),
        ("ResourceQuota", ("spec", "hards"), "hards"),
        ("ClusterQueue", ("spec", "resourceGroup"), "resourceGroup"),
        ("ClusterQueue", ("spec", "resourceGroups", 0, "flavors", 0, "resources", 0, "nominal"), "nominal"),
        ("ResourceFlavor", ("spec", "labels"), "labels"),
        ("LocalQueue", ("spec", "queue"), "queue"),
        ("ComputeClass", ("spec", "priorities", 0, "machine"), "machine"),
    ],
)
def test_the_server_refuses_a_misspelt_field(kind: str, path: tuple[Any, ...], word: str, defined: Cluster) -> None:
    wrong: Any = next(each for each in objects("prod") if each["kind"] == kind)
    inner = wrong
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = "x"
    refused(defined, wrong, word)


def test_the_server_refuses_a_queue_that_kueue_would(defined: Cluster) -> None:
    """Kueue's own rules, which its definition holds: a flavor lists the group's resources, all of them."""
    queue: Any = next(each for each in objects("prod") if each["kind"] == "ClusterQueue")
    queue["spec"]["resourceGroups"][0]["flavors"][0]["resources"].pop()
    refused(defined, queue, "flavors must have the same number of resources")
