"""A connection to a server, the server's version, and requests that create objects or list them."""

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from components.core.errors import StepError
from pipelines.cluster.kubeflow.connection import Connection
from pipelines.cluster.kubeflow.request import (
    FORWARD,
    Client,
    Operation,
    RequestError,
    RequestFailure,
    Transport,
    request,
    request_once,
    step_error,
)

# The first server that fills JSON node selectors and tolerations from parameters (kubeflow/pipelines#11770), and that
# reads the accelerator fields which kfp has written since 2.10 (#11097); older ones drop both without a word
# (#11374, #11928). CHANGELOG.md, 2.5.0.
OLDEST = (2, 5, 0)
# Attempts at creating an object.
ATTEMPTS = 4
# Pauses before an object whose creation was not answered is looked up, and the time limit of one lookup, in seconds.
LOOKUP_PAUSES_S = (0.0, 0.3, 1.0)
LOOKUP_TIMEOUT_S = 5.0
PAGE = 100

T = TypeVar("T")


@dataclass(frozen=True)
class Server:
    """A server that has accepted the connection.

    Attributes:
        transport: to it.
        host: its address.
        namespace: of the runs.
        multi_user: whether requests name the namespace; a single-user server has none.
        ui: the address of its user interface; empty if unknown.
    """

    transport: Transport
    host: str
    namespace: str
    multi_user: bool
    ui: str = ""

    @property
    def scope(self) -> dict[str, Any]:
        """The namespace as an argument, if the server takes one."""
        return {"namespace": self.namespace} if self.multi_user else {}

    def run_link(self, run_id: str) -> str:
        """The address of a run's page; empty if unknown."""
        return f"{self.ui}/#/runs/details/{run_id}" if self.ui else ""


def connect(connection: Connection) -> Server:
    """Connect to the server with one request, which also shows whether it is multi-user.

    Raises:
        StepError: no host was given, no server answers there, or it refuses the credentials.
    """
    if not (connection.host or connection.in_cluster or connection.kube_context):
        raise StepError(
            "no Kubeflow Pipelines server was named",
            advice=f"give --host URL or set SUANLI_HOST; for a port of this machine: {FORWARD} & suanli ... "
            "--host http://localhost:8080; or SUANLI_KUBE_CONTEXT=NAME, or SUANLI_IN_CLUSTER=1 in a pod",
            kind="settings",
        )

    def open_client() -> Client:
        from pipelines.cluster.kubeflow import client  # kfp takes more than a second to import

        return client.open_client(connection)

    transport = Transport(
        open_client=open_client,
        address=connection.address,
        namespace=connection.namespace,
        timeout=connection.timeout,
        renewable=bool(connection.client_id) or ".googleusercontent.com" in connection.host,
        secrets=connection.secrets,
    )
    return check_health(transport, ui=connection.ui_host or connection.host)


def check_health(transport: Transport, ui: str = "") -> Server:
    """Ask a server for its health.

    Raises:
        StepError: no server answers, or one that is not Kubeflow Pipelines.
    """
    operation = Operation("reach Kubeflow Pipelines", "get", "healthz")
    health = request(transport, operation, "/apis/v2beta1/healthz")
    known = {"multi_user", "apiServerMultiUser", "apiServerReady", "pipeline_store"}
    # protobuf's JSON leaves out a false value, so that a single-user server may answer {}.
    if not isinstance(health, dict) or (health and not known & set(health)):
        failure = RequestFailure("malformed", message="its health has none of the expected fields")
        raise step_error(transport, operation, failure)
    if health.get("apiServerReady") is False:
        failure = RequestFailure("status", 503, "the user interface answers, its API server does not")
        raise step_error(transport, operation, failure)
    multi_user = bool(health.get("multi_user") or health.get("apiServerMultiUser"))
    return Server(transport, transport.address, transport.namespace, multi_user, ui)


def version(server: Server) -> str | None:
    """The server's version, or None if it does not report one (2.x reports it on the old API only)."""
    operation = Operation("read the server's version", "get", "healthz")
    health = request(server.transport, operation, "/apis/v1beta1/healthz", missing_ok=True)
    text = (health.get("tag_name") or health.get("apiServerTagName") or "") if isinstance(health, dict) else ""
    return text if re.match(r"v?\d+\.\d+", text) else None


def require_recent(server: Server) -> str | None:
    """The server's version (None if it does not report one), after a check that it passes accelerators on to the pods.

    Raises:
        StepError: it is too old, and would run the step without its accelerator.
    """
    text = version(server)
    if text is None:
        return None
    numbers = [int(number) for number in re.findall(r"\d+", text)[:3]]
    if (*numbers, 0)[:3] < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise StepError(
            f"{server.host} runs Kubeflow Pipelines {text}, which drops accelerators and node selectors given as "
            f"parameters without a word; {oldest} or newer is needed",
            advice="upgrade the server, or submit to another --host",
            kind="settings",
        )
    return text


def create_once(
    server: Server,
    operation: Operation,
    method: str,
    arguments: dict[str, Any],
    *,
    id_field: str,
    find: Callable[[Server], T | None],
    undo: Callable[[str], None] | None = None,
) -> T | Any:
    """Create an object, and never a second one because an answer was lost.

    After a failure that leaves it open whether the server has done the work, the object is looked up. If it is missing
    although the connection was dropped, the request is made again; after a timeout it is not, for the server may still
    be working. If a server finishes the lost work late after all, there are two objects: then the second is undone.

    Args:
        server: the server.
        operation: what the request is for.
        method: of the generated client.
        arguments: the method's.
        id_field: the attribute of the answer that holds the object's id.
        find: returns the object if it exists, and the first one if there are several.
        undo: removes a second object, by its id.

    Returns:
        The server's answer, or what ``find`` returned.

    Raises:
        StepError: the server refuses, or its answer was lost and the object cannot be found.
    """
    transport, retry = server.transport, server.transport.retry(ATTEMPTS)

    def create() -> T | Any:
        try:
            created = request_once(transport, method, transport.timeout, **arguments)
            created_id = getattr(created, id_field, None)
            if not created_id:
                raise RequestError(RequestFailure("malformed", message=f"it has no {id_field}"))
        except RequestError as error:
            failure = error.failure
            if failure.ambiguous or failure.status == 409:
                if (existing := _find_after_failure(server, find)) is not None:
                    return existing
                if failure.kind == "timeout" or failure.status == 504:
                    plain = step_error(transport, operation, failure)
                    raise StepError(
                        f"{plain.message}; the request was not repeated, since the server may still be working on it",
                        advice="wait a minute and check whether it is there before you repeat it",
                        kind="resources",
                    ) from error
            raise
        # A lost request before this one may have made another object.
        existing = find(server) if undo and retry.failures else None
        if undo is None or existing is None or getattr(existing, "id", created_id) == created_id:
            return created
        undo(str(created_id))
        return existing

    try:
        return retry(create)()
    except RequestError as error:
        raise step_error(transport, operation, error.failure) from error


def _find_after_failure(server: Server, find: Callable[[Server], T | None]) -> T | None:
    """Look an object up a few times, not for long: a server that lost its client may still be writing."""
    timeout = min(LOOKUP_TIMEOUT_S, server.transport.timeout)
    brief = replace(server, transport=replace(server.transport, timeout=timeout))
    for pause in LOOKUP_PAUSES_S:
        time.sleep(pause)
        try:
            if (existing := find(brief)) is not None:
                return existing
        except StepError:
            return None
    return None


def pages(
    server: Server, operation: Operation, method: str, name: str, arguments: dict[str, Any], sort: str
) -> Iterator[Any]:
    """Every item of a list."""
    token = ""
    while True:
        page = request(server.transport, operation, method, page_size=PAGE, page_token=token, sort_by=sort, **arguments)
        yield from getattr(page, name) or []
        token = page.next_page_token or ""
        if not token:
            return


def find_by_name(server: Server, group: str, method: str, name: str, id_field: str) -> str | None:
    """The id of the item of a group (experiments, pipelines) with this display name, if any."""
    operation = Operation(f"look for {name!r}", "list", group)
    page = request(
        server.transport, operation, f"{group}.{method}", filter=equals("display_name", name), **server.scope
    )
    items = getattr(page, group) or []
    return str(getattr(items[0], id_field)) if items else None


def equals(key: str, value: str) -> str:
    """A filter (backend/api/v2beta1/filter.proto)."""
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": key, "string_value": value}]})


def require_id(server: Server, operation: Operation, answer: Any, id_field: str) -> Any:
    """An answer that has its id: the generated client takes ``{}`` for any object."""
    if not getattr(answer, id_field, None):
        raise step_error(server.transport, operation, RequestFailure("malformed", message=f"it has no {id_field}"))
    return answer
