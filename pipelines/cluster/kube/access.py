"""Reading a cluster through the Kubernetes API, as far as this user may; nothing is ever deleted."""

import json
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from pipelines.cluster.kube.errors import ForbiddenError
from pipelines.compile.check_result import CheckResult

READ_S = 5.0
PAGE = 500
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
NO_ACCESS = "no kubeconfig (KUBECONFIG or ~/.kube/config), and this is not a pod"


class Right(NamedTuple):
    """A verb on a resource of an API group, in a namespace or in the whole cluster."""

    verb: str
    resource: str
    namespace: str = ""
    group: str = ""
    name: str = ""

    def __str__(self) -> str:
        resource = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {resource} {f'in {self.namespace}' if self.namespace else 'in the cluster'}"


@dataclass(frozen=True)
class Access:
    """A connection to a cluster.

    Attributes:
        client: sends requests (``client.Client``).
        host: the API server's address.
        context: the kubeconfig's context, or ``in-cluster``.
        namespace: that context's namespace.
        version: the server's version, such as ``v1.33.2-gke.1111000``; empty if it may not be read.
    """

    client: Any = field(repr=False)
    host: str
    context: str
    namespace: str
    version: str = ""

    @property
    def gke(self) -> bool:
        """Whether this is Google Kubernetes Engine, by its version."""
        return "-gke" in self.version


def connect(
    kube_context: str = "", *, environ: Mapping[str, str] = os.environ, timeout: float = READ_S
) -> Access | None:
    """Connect to the cluster of a kubeconfig's context, or of this pod.

    Args:
        kube_context: the kubeconfig's context; by default its current one.
        environ: the environment, with ``KUBECONFIG``.
        timeout: seconds for one answer.

    Returns:
        None if there is neither (the reason is ``NO_ACCESS``).

    Raises:
        StepError: the kubeconfig is broken, or the server cannot be reached or refuses the credentials.
    """
    from pipelines.cluster.kube import client  # kubernetes takes about a second to import

    opened = client.open_client(kube_context, environ, timeout)
    if opened is None:
        return None
    cluster = Access(opened, opened.host, opened.context, opened.namespace)
    try:
        version = (read(cluster, "/version") or {}).get("gitVersion", "")
    except ForbiddenError:
        version = ""
    return replace(cluster, version=version)


def not_configured() -> CheckResult:
    """The result of every check of a cluster that no kubeconfig names."""
    return CheckResult("warn", "cluster", f"not looked at: {NO_ACCESS}", "set KUBECONFIG, or --kube-context")


def read(cluster: Access, path: str, **query: str) -> dict[str, Any] | None:
    """One object or list, as the server's JSON; None if it does not exist (404).

    Raises:
        ForbiddenError: this user may not.
        StepError: the server cannot be reached, refuses, or answers with an error.
    """
    answer: dict[str, Any] | None = cluster.client.request("GET", path, query=list(query.items()), missing_ok=True)
    return answer


def list_items(cluster: Access, path: str, **query: str) -> list[dict[str, Any]]:
    """Every item of a list, page by page; empty if the server does not know the resource.

    Raises:
        ForbiddenError: this user may not.
        StepError: as :func:`read`.
    """
    items: list[dict[str, Any]] = []
    token = ""
    while True:
        page = read(cluster, path, limit=str(PAGE), **query, **({"continue": token} if token else {})) or {}
        items += page.get("items") or []
        token = page.get("metadata", {}).get("continue", "")
        if not token:
            return items


def apply(cluster: Access, path: str, manifest: Mapping[str, Any]) -> None:
    """Create an object, or update the fields that are ours (server-side apply).

    Raises:
        ForbiddenError: this user may not.
        StepError: as :func:`read`.
    """
    query = [("fieldManager", "suanli"), ("force", "true")]
    # A text, since JSON is YAML, too. From 30 on the client would quote it as JSON once more under the plain content
    # type; with a parameter, which the server strips, every client sends it as it is.
    content = "application/apply-patch+yaml; charset=utf-8"
    cluster.client.request("PATCH", path, query=query, body=json.dumps(manifest), content=content)


def granted(cluster: Access, rights: Iterable[Right]) -> dict[Right, bool]:
    """Which of these rights this user has, by the server's own review.

    Raises:
        ForbiddenError: even the question is forbidden.
        StepError: as :func:`read`.
    """

    def review(right: Right) -> bool:
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {key: value for key, value in right._asdict().items() if value}},
        }
        return bool(cluster.client.request("POST", REVIEWS, body=body).get("status", {}).get("allowed"))

    wanted = list(rights)
    with ThreadPoolExecutor(min(8, max(1, len(wanted)))) as pool:
        return dict(zip(wanted, pool.map(review, wanted), strict=True))
