"""Kubeflow's namespace with its launcher's settings, for tests that apply an overlay to it."""

from collections.abc import Iterator
from contextlib import contextmanager

import definitions
from api import eventually, names
from clusters import Cluster
from kubectl import APPLY, kubectl, rendered

NAMESPACE = "kubeflow"
ROOT = f"/api/v1/namespaces/{NAMESPACE}"
LAUNCHER = f"{ROOT}/configmaps/kfp-launcher"
QUOTA = f"{ROOT}/resourcequotas/suanli-accelerators"
# What Kubeflow's own installation keeps there, and must be left.
KUBEFLOWS = {"fromKubeflow": "kept"}
CLUSTER_WIDE = ("clusterrole", "clusterrolebinding", "clusterqueue", "resourceflavor", "computeclass")


@contextmanager
def furnished(cluster: Cluster) -> Iterator[Cluster]:
    """The namespace, empty of ours; gone afterwards, with what an overlay made for the whole cluster."""
    definitions.install(cluster.api)
    cluster.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    launcher = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kfp-launcher", "namespace": NAMESPACE}}
    cluster.api.create({**launcher, "data": KUBEFLOWS})
    eventually(lambda: names(cluster.api.items(f"{ROOT}/serviceaccounts")), lambda found: "default" in found)
    try:
        yield cluster
    finally:
        selected = ("-l", "app.kubernetes.io/name=suanli", "--ignore-not-found")
        kubectl(cluster.api.kubeconfig, "delete", ",".join(CLUSTER_WIDE), *selected)
        cluster.api.delete(ROOT)
        eventually(lambda: cluster.api.status("GET", ROOT)[0], lambda status: status == 404)


def apply(cluster: Cluster, overlay: str, *more: str) -> str:
    return kubectl(cluster.api.kubeconfig, *APPLY, *more, stdin=rendered(overlay))


@contextmanager
def prod(cluster: Cluster) -> Iterator[Cluster]:
    """The namespace with the prod overlay, whose quota the API server has begun to count."""
    with furnished(cluster):
        apply(cluster, "prod")
        eventually(lambda: cluster.api.get(QUOTA).get("status", {}).get("hard"), bool)
        yield cluster


@contextmanager
def accelerators(cluster: Cluster, count: int) -> Iterator[None]:
    """Another quota on GPUs than the overlay's."""
    key = "requests.nvidia.com/gpu"
    was = cluster.api.get(QUOTA)["spec"]
    cluster.api.merge(QUOTA, {"spec": {"hard": {key: str(count)}}})
    try:
        eventually(lambda: cluster.api.get(QUOTA)["status"]["hard"][key], lambda hard: hard == str(count))
        yield
    finally:
        cluster.api.merge(QUOTA, {"spec": was})


def tidy(cluster: Cluster) -> None:
    """Leave no pods and no workflows in the namespace."""
    cluster.clear(NAMESPACE)
    cluster.api.delete(f"/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/workflows")


def token(cluster: Cluster) -> str:
    """A real token of the runs' service account, for ten minutes."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
    answer = cluster.api.call("POST", f"{ROOT}/serviceaccounts/suanli-runner/token", body)
    return str(answer["status"]["token"])
