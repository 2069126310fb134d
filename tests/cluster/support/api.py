"""A Kubernetes API as plain JSON over its REST paths."""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from kubernetes import client, config

Object = Mapping[str, Any]
T = TypeVar("T")
# What the tests make for a whole cluster, and remove from it.
OURS = {"suanli.test/made": "true"}
SELECTOR = "suanli.test/made=true"
WORKERS = 8
TIMEOUT_S = 60.0
PATHS = {
    "Node": "/api/v1/nodes",
    "Namespace": "/api/v1/namespaces",
    "Pod": "/api/v1/namespaces/{}/pods",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "ResourceQuota": "/api/v1/namespaces/{}/resourcequotas",
    "LimitRange": "/api/v1/namespaces/{}/limitranges",
    "CustomResourceDefinition": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "Workflow": "/apis/argoproj.io/v1alpha1/namespaces/{}/workflows",
}


class Api:
    """A way into a cluster, with all rights."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self.client = config.new_client_from_config(str(kubeconfig))

    def call(
        self, method: str, path: str, body: Any = None, *, content: str = "application/json", **query: str
    ) -> dict[str, Any]:
        """Raises kubernetes.client.ApiException where the server does not answer with success."""
        found: dict[str, Any] = self.client.call_api(
            path,
            method,
            query_params=list(query.items()),
            header_params={"Accept": "application/json", "Content-Type": content},
            body=body,
            response_type="object",
            auth_settings=["BearerToken"],
            _return_http_data_only=True,
            _request_timeout=30,
        )
        return found

    def get(self, path: str, **query: str) -> dict[str, Any]:
        return self.call("GET", path, **query)

    def items(self, path: str, **query: str) -> list[dict[str, Any]]:
        return list(self.get(path, **query)["items"])

    def create(self, *objects: Object) -> list[dict[str, Any]]:
        """Make objects, several at once, in no order."""
        with ThreadPoolExecutor(WORKERS) as pool:
            return list(pool.map(lambda each: self.call("POST", path_of(each), each), objects))

    def merge(self, path: str, body: Object) -> dict[str, Any]:
        return self.call("PATCH", path, body, content="application/merge-patch+json")

    def delete(self, path: str, **query: str) -> None:
        """Delete an object or a whole list at once; it need not be there."""
        try:
            self.call("DELETE", path, {"gracePeriodSeconds": 0, "propagationPolicy": "Background"}, **query)
        except client.ApiException as error:
            if error.status != 404:
                raise

    def status(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        """Status and message of a request that may be refused; a path that is not served is answered in plain text."""
        try:
            self.call(method, path, body)
        except client.ApiException as error:
            with suppress(ValueError):
                return int(error.status), str(json.loads(error.body)["message"])
            return int(error.status), str(error.body)
        return 200, ""


def path_of(each: Object) -> str:
    """The path of the list that an object belongs to."""
    return PATHS[each["kind"]].format(each["metadata"].get("namespace", ""))


def eventually(look: Callable[[], T], holds: Callable[[T], bool], timeout: float = TIMEOUT_S) -> T:
    """What ``look`` sees once that holds.

    Raises:
        AssertionError: it never did; what was seen last is told.
    """
    until = time.monotonic() + timeout
    while not holds(seen := look()):
        assert time.monotonic() < until, f"still not so after {timeout:g} s: {str(seen)[:2000]}"
        time.sleep(0.1)
    return seen


def names(objects: Iterable[Object]) -> set[str]:
    return {each["metadata"]["name"] for each in objects}
