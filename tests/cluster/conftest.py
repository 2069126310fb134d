"""A real Kubernetes API and scheduler for this folder's tests: built here, or given with kwok in it."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import binaries
import control_plane
import gke
import pytest
import storage_emulator
from api import PATHS, SELECTOR, Api, eventually, names
from clusters import Cluster, leave
from control_plane import ControlPlane
from steps import CATALOG

GIVEN = "SUANLI_TEST_KUBECONFIG"
HERE = Path(__file__).parent


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "cluster: needs a Kubernetes control plane (make test-cluster)")


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.cluster)


def absent() -> str:
    """Why there is no cluster; empty where there is one."""
    if given := os.environ.get(GIVEN):
        return "" if Path(given).is_file() else f"{GIVEN} names no file: {given}"
    return binaries.reason()


@pytest.fixture(scope="session")
def programs() -> Path:
    """The folder of the control plane's programs."""
    if reason := binaries.reason():
        leave(reason)
    return binaries.folder() / "bin"


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One cluster for all tests; each test leaves it without pods and nodes of its own."""
    if reason := absent():
        leave(reason)
    with ExitStack() as stack:
        plane = None
        if given := os.environ.get(GIVEN):
            api = Api(Path(given))
        else:
            folder = tmp_path_factory.mktemp("control-plane")
            plane = stack.enter_context(control_plane.running(binaries.folder() / "bin", folder))
            api = Api(plane.kubeconfig())
        yield Cluster(api, plane)
        if not plane:
            for kind in ("Node", "CustomResourceDefinition"):
                api.delete(PATHS[kind], labelSelector=SELECTOR)


@pytest.fixture
def plane(cluster: Cluster) -> ControlPlane:
    """The processes themselves, for tests that look at them or halt them."""
    if not cluster.plane:
        pytest.skip(f"the cluster of {GIVEN} has no processes here")
    return cluster.plane


@pytest.fixture(scope="session")
def namespaces(cluster: Cluster) -> Iterator[Callable[[str], str]]:
    """Makes namespaces, with the service account that every pod needs, and deletes them at the end."""
    made: list[str] = []

    def make(name: str) -> str:
        cluster.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        made.append(name)
        accounts = f"/api/v1/namespaces/{name}/serviceaccounts"
        eventually(lambda: names(cluster.api.items(accounts)), lambda found: "default" in found)
        return name

    yield make
    for name in made:
        cluster.api.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture(scope="module")
def namespace(cluster: Cluster, namespaces: Callable[[str], str], request: pytest.FixtureRequest) -> str:
    """A namespace of this file's own."""
    return namespaces(Path(str(request.path)).stem.replace("_", "-"))


@pytest.fixture
def empty(cluster: Cluster, namespace: str) -> Iterator[str]:
    """That namespace, with no pods before and after."""
    yield namespace
    cluster.clear(namespace)


@pytest.fixture(scope="session")
def team_storage(emulator: storage_emulator.Emulator) -> str:
    """The address of Cloud Storage with the bucket of the tests' target."""
    emulator.create_bucket("team")
    return emulator.url


@pytest.fixture
def all_pools(cluster: Cluster) -> list[dict[str, Any]]:
    """A node of every row and capacity, and many that no row means."""
    nodes = gke.everything(CATALOG)
    if names(cluster.nodes()) != names(nodes):
        cluster.furnish(nodes)
    return nodes
