"""One request to the server: again where that is safe, and one line when it fails."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from components.core.errors import Kind, StepError
from pipelines.cluster.kubeflow.failure import Failure, RequestError, failure_of, plain

# Pauses before a request is made again, in seconds; a server's Retry-After takes their place.
PAUSES = (0.2, 0.5, 1.0, 2.0)
FORWARD = "kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80"


@dataclass
class Wire:
    """The way to a server.

    Attributes:
        open: makes a ``kfp.Client``.
        address: how texts call the server.
        namespace: of the runs.
        timeout: seconds for a request, all its repetitions included.
        renewable: whether a new client may be let in after an old one is not any more (a token of an hour).
        secrets: what no text may show.
    """

    open: Callable[[], Any]
    address: str
    namespace: str
    timeout: float
    renewable: bool = False
    secrets: tuple[str, ...] = ()
    client: Any = field(default=None, repr=False)

    def __repr__(self) -> str:
        return f"Wire({self.address})"


@dataclass(frozen=True)
class Task:
    """What a request is for, in the words of an error text and of Kubernetes' access rules.

    Attributes:
        what: as in "cannot start the run".
        verb: create, get, list ...
        resource: runs, experiments, pipelines, jobs (recurring runs).
    """

    what: str
    verb: str
    resource: str


def ask(wire: Wire, task: Task, method: str, *, missing: bool = False, **arguments: Any) -> Any:
    """Make a request that changes nothing when it is made twice, again after a passing fault.

    Args:
        wire: the way to the server.
        task: what it is for.
        method: of the generated client, as ``runs.run_service_get_run``, or a path that is read as it is.
        missing: whether None, instead of an error, tells that the server does not have it (404).
        arguments: the method's.

    Raises:
        StepError: it failed for good, or the time is up.
    """
    until = time.monotonic() + wire.timeout
    for pause in (*PAUSES, None):
        try:
            return once(wire, method, until - time.monotonic(), **arguments)
        except RequestError as failed:
            failure = failed.failure
        if missing and failure.status == 404:
            return None
        if pause is None or not failure.passing:
            break
        pause = failure.retry_after if failure.retry_after is not None else pause
        if time.monotonic() + pause >= until:
            break
        time.sleep(pause)
    raise error(wire, task, failure)


def once(wire: Wire, method: str, timeout: float, **arguments: Any) -> Any:
    """Make a request, and once more with a fresh client if the server does not know an aged one any more.

    Raises:
        RequestError: it brought nothing.
    """
    try:
        return _send(wire, method, timeout, arguments)
    except RequestError as failed:
        if failed.failure.status != 401 or not wire.renewable:
            raise
    wire.client = None
    return _send(wire, method, timeout, arguments)


def _send(wire: Wire, method: str, timeout: float, arguments: dict[str, Any]) -> Any:
    if wire.client is None:
        wire.client = wire.open()
    limit = {"_request_timeout": max(timeout, 0.05)}
    try:
        if method.startswith("/"):
            line, options = wire.client._run_api.api_client, {"auth_settings": ["Bearer"], "response_type": "object"}
            return line.call_api(method, "GET", _return_http_data_only=True, **options, **limit)
        group, _, name = method.partition(".")
        return getattr(getattr(wire.client, group), name)(**arguments, **limit)
    except StepError:
        raise
    except Exception as fault:
        raise RequestError(failure_of(fault, wire.secrets)) from fault


def error(wire: Wire, task: Task, failure: Failure) -> StepError:
    """A failure in one line."""
    said = f": {failure.message}" if failure.message else ""
    host, what = wire.address, task.what
    if failure.kind == "status":
        return _status_error(wire, task, failure, said)
    seconds = f"{wire.timeout:g} s"
    texts: dict[str, tuple[str, str]] = {
        "down": (f"cannot {what}: nobody answers at {host}{said}", f"is it running? For a port here: {FORWARD}"),
        "hang": (
            f"cannot {what}: {host} did not answer within {seconds}",
            "try again, or set a longer SUANLI_TIMEOUT (seconds)",
        ),
        "dropped": (f"cannot {what}: {host} closed the connection{said}", "try again; is the port forward still up?"),
        "tls": (f"cannot {what}: {host}'s certificate is not trusted{said}", "set SUANLI_SSL_CA_CERT=FILE"),
        "page": (
            f"cannot {what}: {host} answers with something else than JSON{said}",
            "is it Kubeflow's address? A login page wants SUANLI_TOKEN_FILE, SUANLI_COOKIES or SUANLI_CLIENT_ID",
        ),
        "broken": (f"cannot {what}: {host}'s answer makes no sense{said}", "is it a Kubeflow Pipelines server?"),
    }
    message, advice = texts[failure.kind]
    return StepError(message, advice=advice, kind="resources")


def _status_error(wire: Wire, task: Task, failure: Failure, said: str) -> StepError:
    status, host, what = failure.status, wire.address, task.what
    kind: Kind = "settings"
    # The server names what it looked up, which may be another namespace or verb than the one asked for.
    asked = re.search(r"Namespace:([^,]*),Verb:([^,]*).*?Resource:([^,]*)", failure.message)
    namespace, verb, resource = asked.groups() if asked else (wire.namespace, task.verb, task.resource)
    match status:
        case 401:
            message = f"cannot {what}: {host} does not know who asks (401){said}"
            advice = (
                "set SUANLI_TOKEN_FILE, SUANLI_TOKEN or SUANLI_COOKIES, or SUANLI_CLIENT_ID behind Identity-Aware Proxy"
            )
        case 403:
            message = f"cannot {what}: no right to {verb} {resource} in namespace {namespace or wire.namespace} (403)"
            message += "" if asked else said
            advice = f"ask for that right on {host}, or give another --namespace"
        case 404:
            message = f"cannot {what}: {host} does not have it (404){said}"
            advice = "check the name and --namespace; or is it no Kubeflow Pipelines server?"
        case 409:
            message, kind = f"cannot {what}: it exists already, or somebody else is at it (409){said}", "conflict"
            advice = "try again, or choose another name"
        case 429:
            message, kind = f"cannot {what}: {host} has too many requests (429){said}", "resources"
            wait = failure.retry_after
            advice = f"try again in {wait:g} s" if wait else "try again later"
        case _ if 300 <= status < 400:
            to = plain(failure.location.partition("?")[0], wire.secrets) or "elsewhere"
            message = f"cannot {what}: {host} sends us to {to} ({status})"
            advice = "a login page wants SUANLI_TOKEN_FILE, SUANLI_COOKIES or SUANLI_CLIENT_ID; else give it as --host"
        case _ if status < 500:
            message = f"cannot {what}: {host} refuses it ({status}){said}"
            advice = ""
        case _:
            message, kind = f"cannot {what}: {host} failed ({status}){said}", "resources"
            advice = "its reasons: kubectl logs -n kubeflow deploy/ml-pipeline"
    return StepError(message, advice=advice, kind=kind)
