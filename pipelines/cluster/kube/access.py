"""Reading a cluster through the Kubernetes API, as far as this user may; nothing is ever deleted."""

import json
import os
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from components.core.errors import StepError
from pipelines.cluster.kube import kubeconfig
from pipelines.compile.check_result import CheckResult

CONNECT_S, READ_S = 3.0, 5.0
PAGE = 500
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
AGAIN = "try again; kubectl get --raw /readyz tells how the API server is"
NO_ACCESS = "no kubeconfig (KUBECONFIG or ~/.kube/config), and this is no pod"


class ForbiddenError(StepError):
    """The user has no right to what was read."""


class Right(NamedTuple):
    """What one may do: a verb on a resource of an API group, in a namespace or in the whole cluster."""

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
    """A way into a cluster.

    Attributes:
        client: the Kubernetes client.
        host: the API server's address.
        context: the kubeconfig's context, or ``in-cluster``.
        namespace: that context's namespace.
        version: the server's version, such as ``v1.33.2-gke.1111000``; empty where it may not be read.
        patience: seconds that one answer may take.
    """

    client: Any = field(repr=False)
    host: str
    context: str
    namespace: str
    version: str = ""
    patience: float = READ_S

    @property
    def gke(self) -> bool:
        """Whether this is Google Kubernetes Engine, by its version."""
        return "-gke" in self.version


def access(
    kube_context: str = "", *, environ: Mapping[str, str] = os.environ, patience: float = READ_S
) -> Access | None:
    """The way into the cluster: by a kubeconfig's context, or from inside a pod of it.

    Args:
        kube_context: the kubeconfig's context; by default its current one.
        environ: where ``KUBECONFIG`` is looked up.
        patience: seconds that one answer may take.

    Returns:
        None where there is neither (the reason is ``NO_ACCESS``).

    Raises:
        StepError: the kubeconfig is broken, or the server cannot be reached or refuses the credentials.
    """
    loaded = kubeconfig.load(kube_context, environ)
    if loaded is None:
        return None
    import urllib3
    from kubernetes import client

    # One try each: three, as urllib3 would, make a dead server look like a slow one.
    loaded.configuration.retries = urllib3.Retry(total=0)
    found = Access(
        client.ApiClient(loaded.configuration),
        loaded.configuration.host,
        loaded.context,
        loaded.namespace,
        "",
        patience,
    )
    try:
        version = (read(found, "/version") or {}).get("gitVersion", "")
    except ForbiddenError:
        version = ""
    return Access(found.client, found.host, found.context, found.namespace, version, patience)


def absent() -> CheckResult:
    """The finding where there is no way in."""
    return CheckResult("warn", "cluster", f"not looked at: {NO_ACCESS}", "set KUBECONFIG, or --kube-context")


def read(way: Access, path: str, **query: str) -> dict[str, Any] | None:
    """One object or list, as the server's JSON; None where there is none (404).

    Raises:
        ForbiddenError: this user may not.
        StepError: the server cannot be reached, refuses, or answers with an error.
    """
    from kubernetes.client import ApiException

    try:
        return _call(way, "GET", path, list(query.items()))
    except ApiException as error:
        if error.status == 404:
            return None
        raise _told(way, path, error) from None


def listed(way: Access, path: str, **query: str) -> list[dict[str, Any]]:
    """Every item of a list, page by page; none where the server knows no such resource.

    Raises:
        ForbiddenError: this user may not.
        StepError: as :func:`read`.
    """
    items: list[dict[str, Any]] = []
    token = ""
    while True:
        page = read(way, path, limit=str(PAGE), **query, **({"continue": token} if token else {})) or {}
        items += page.get("items") or []
        token = page.get("metadata", {}).get("continue", "")
        if not token:
            return items


def apply(way: Access, path: str, thing: Mapping[str, Any]) -> None:
    """Make an object, or bring the fields that are ours up to date (server-side apply).

    Raises:
        ForbiddenError: this user may not.
        StepError: as :func:`read`.
    """
    from kubernetes.client import ApiException

    query = [("fieldManager", "suanli"), ("force", "true")]
    try:
        # A text, since JSON is YAML, too. From 30 on the client would quote it as JSON once more under the plain
        # content type; with a parameter, which the server strips, every client sends it as it is.
        _call(way, "PATCH", path, query, json.dumps(thing), content="application/apply-patch+yaml; charset=utf-8")
    except ApiException as error:
        raise _told(way, path, error) from None


def granted(way: Access, rights: Iterable[Right]) -> dict[Right, bool]:
    """Which of these rights this user has, by the server's own review.

    Raises:
        ForbiddenError: one may not even ask.
        StepError: as :func:`read`.
    """
    wanted = list(rights)
    with ThreadPoolExecutor(min(8, max(1, len(wanted)))) as pool:
        return dict(zip(wanted, pool.map(lambda right: _granted(way, right), wanted), strict=True))


def _granted(way: Access, right: Right) -> bool:
    from kubernetes.client import ApiException

    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {key: value for key, value in right._asdict().items() if value}},
    }
    try:
        return bool(_call(way, "POST", REVIEWS, [], body).get("status", {}).get("allowed"))
    except ApiException as error:
        raise _told(way, REVIEWS, error) from None


def _call(
    way: Access,
    method: str,
    path: str,
    query: list[tuple[str, str]],
    body: Any = None,
    content: str = "application/json",
) -> dict[str, Any]:
    """A request, made again for as long as the server asks for it (429 with Retry-After: too many requests, or a
    resource whose definition is new) and patience lasts."""
    from kubernetes.client import ApiException

    until = time.monotonic() + way.patience
    while True:
        try:
            return _once(way, method, path, query, body, content)
        except ApiException as error:
            pause = (error.headers or {}).get("Retry-After", "")
            if error.status != 429 or not pause.isdigit() or time.monotonic() + int(pause) >= until:
                raise
        time.sleep(int(pause))


def _once(way: Access, method: str, path: str, query: list[tuple[str, str]], body: Any, content: str) -> dict[str, Any]:
    """A request, made once more where the connection was dropped: the server had closed one that was kept open.

    Plain JSON in place of the client's classes: these refuse whole lists for one field that a server leaves out.
    """
    import urllib3

    for last in (False, True):
        try:
            found = way.client.call_api(
                path,
                method,
                query_params=query,
                header_params={"Accept": "application/json", "Content-Type": content},
                body=body,
                response_type="object",
                auth_settings=["BearerToken"],
                _return_http_data_only=True,
                _request_timeout=(CONNECT_S, way.patience),
            )
        except urllib3.exceptions.HTTPError as error:
            reason = getattr(error, "reason", None) or error
            if last or not isinstance(reason, urllib3.exceptions.ProtocolError):
                raise StepError(
                    f"no answer from the cluster at {way.host}: {_cause(way, reason)}",
                    advice=f"check the context {way.context} with kubectl get pods",
                    kind="resources",
                ) from None
        else:
            break
    if not isinstance(found, dict):
        raise StepError(
            f"{way.host} is no Kubernetes API: it answers with something else",
            advice=f"check the server of the context {way.context}",
            kind="settings",
        )
    return found


def _cause(way: Access, reason: Any) -> str:
    """A failed connection's cause in words."""
    import urllib3

    match reason:
        case urllib3.exceptions.ReadTimeoutError():
            return f"nothing within {way.patience:g} s"
        # urllib3 derives an unknown name from a refused connection, and that from a timeout: the order counts.
        case urllib3.exceptions.NameResolutionError():
            return "its name is not known"
        case urllib3.exceptions.NewConnectionError():
            return "connection refused" if "refused" in str(reason) else "it cannot be reached"
        case urllib3.exceptions.ConnectTimeoutError():
            return f"no connection within {CONNECT_S:g} s"
        case urllib3.exceptions.SSLError():
            return f"its certificate is not accepted ({str(reason)[:120]})"
        case urllib3.exceptions.ProtocolError():
            return "the connection was dropped"
    return type(reason).__name__


def _told(way: Access, path: str, error: Any) -> StepError:
    """An error status as one line."""
    message = _message(error)
    match error.status:
        case 401:
            return StepError(
                f"the cluster at {way.host} refuses the credentials of the context {way.context} (401)",
                advice="log in again, or fetch them anew: gcloud container clusters get-credentials",
                kind="settings",
            )
        case 403:
            return ForbiddenError(f"no right to {path}: {message}", kind="settings")
        case 0 | None:
            return StepError(f"no answer from the cluster at {way.host}: {message}", advice=AGAIN, kind="resources")
    return StepError(
        f"the cluster at {way.host} answers {error.status} for {path}: {message}", advice=AGAIN, kind="resources"
    )


def _message(error: Any) -> str:
    """What a Status object says, else the reason."""
    try:
        text = json.loads(error.body)["message"]
    except (TypeError, ValueError, KeyError):
        text = error.reason or "no reason given"
    return " ".join(str(text).split())[:300]
