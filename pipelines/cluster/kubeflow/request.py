"""One request to a Kubeflow Pipelines server: retried where that is safe, and one line of text when it fails."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from components.core.errors import Kind, StepError
from components.core.retry import Retry

ATTEMPTS = 5
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 2.0
FORWARD = "kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80"
SIGN_IN = "set SUANLI_TOKEN_FILE, SUANLI_TOKEN or SUANLI_COOKIES, or SUANLI_CLIENT_ID behind Identity-Aware Proxy"


@dataclass(frozen=True)
class RequestFailure:
    """Why a request failed.

    Attributes:
        kind: ``status`` (the server refuses), ``unreachable`` (nothing was sent), ``timeout``, ``dropped``,
            ``not-json``, ``tls`` or ``malformed`` (an answer of another shape).
        status: of the HTTP response, or 0.
        message: the server's own words, or the connection's fault.
        retry_after: the seconds that the server asks to wait, or None.
        location: where a redirect leads.
    """

    kind: Literal["status", "unreachable", "timeout", "dropped", "not-json", "tls", "malformed"]
    status: int = 0
    message: str = ""
    retry_after: float | None = None
    location: str = ""

    @property
    def transient(self) -> bool:
        """Whether the same request may succeed a moment later."""
        return self.status in (429, 502, 503, 504) or self.kind == "dropped"

    @property
    def ambiguous(self) -> bool:
        """Whether the server may have done what it was asked to do."""
        return self.kind in ("timeout", "dropped", "not-json", "malformed") or self.status >= 500


class RequestError(Exception):
    """A request's failure, before it is put into words."""

    def __init__(self, failure: RequestFailure) -> None:
        super().__init__(failure.kind)
        self.failure = failure


class Client(Protocol):
    """What sends requests; :class:`pipelines.cluster.kubeflow.client.Client` is one."""

    def send(self, method: str, timeout: float, arguments: dict[str, Any]) -> Any: ...


@dataclass
class Transport:
    """How requests reach a server.

    Attributes:
        open_client: signs in.
        address: what messages call the server.
        namespace: of the runs.
        timeout: seconds for a request, its retries included.
        renewable: whether a new client may be accepted after an old one is refused (a token that lasts an hour).
        secrets: what no message may show.
    """

    open_client: Callable[[], Client]
    address: str
    namespace: str
    timeout: float
    renewable: bool = False
    secrets: tuple[str, ...] = ()
    client: Client | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        return f"Transport({self.address})"

    def retry(self, attempts: int = ATTEMPTS) -> Retry:
        """The retry policy of one request."""
        return Retry(
            lambda error: isinstance(error, RequestError) and error.failure.transient,
            timeout=self.timeout,
            attempts=attempts,
            first=FIRST_PAUSE_S,
            longest=LONGEST_PAUSE_S,
            jitter=0.5,
            retry_after=lambda error: (isinstance(error, RequestError) and error.failure.retry_after) or 0.0,
        )


@dataclass(frozen=True)
class Operation:
    """What a request is for, in the words of an error message and of Kubernetes' access rules.

    Attributes:
        action: as in "cannot start the run".
        verb: create, get, list ...
        resource: runs, experiments, pipelines, jobs (recurring runs).
    """

    action: str
    verb: str
    resource: str


def request(
    transport: Transport, operation: Operation, method: str, *, missing_ok: bool = False, **arguments: Any
) -> Any:
    """Make a request that may safely be made twice; after a transient failure it is retried.

    Args:
        transport: to the server.
        operation: what it is for.
        method: of the generated client, as ``runs.run_service_get_run``, or a path to GET.
        missing_ok: return None if the server does not have it (404).
        arguments: the method's.

    Raises:
        StepError: the failure is final, or the time is up.
    """
    retry = transport.retry()
    try:
        return retry(lambda: request_once(transport, method, retry.remaining, **arguments))()
    except RequestError as error:
        if missing_ok and error.failure.status == 404:
            return None
        raise step_error(transport, operation, error.failure) from error


def request_once(transport: Transport, method: str, timeout: float, **arguments: Any) -> Any:
    """Make a request without a retry, but with a new client if the server refuses an aged one.

    Raises:
        RequestError: it failed.
    """
    if transport.client is None:
        transport.client = transport.open_client()
    try:
        return transport.client.send(method, timeout, arguments)
    except RequestError as error:
        if error.failure.status != 401 or not transport.renewable:
            raise
    transport.client = transport.open_client()
    return transport.client.send(method, timeout, arguments)


def step_error(transport: Transport, operation: Operation, failure: RequestFailure) -> StepError:
    """A failure in one line."""
    reason = f": {failure.message}" if failure.message else ""
    if failure.kind == "status":
        return _refused(transport, operation, failure, reason)
    host = transport.address
    texts: dict[str, tuple[str, str]] = {
        "unreachable": (f"no server answers at {host}{reason}", f"is it running? For a port here: {FORWARD}"),
        "timeout": (
            f"{host} did not answer within {transport.timeout:g} s",
            "try again, or set a longer SUANLI_TIMEOUT (seconds)",
        ),
        "dropped": (f"{host} closed the connection{reason}", "try again; is the port forward still running?"),
        "tls": (f"{host}'s certificate is not trusted{reason}", "set SUANLI_SSL_CA_CERT=FILE"),
        "not-json": (
            f"the answer of {host} is not JSON{reason}",
            "is it Kubeflow's address? A login page wants SUANLI_TOKEN_FILE, SUANLI_COOKIES or SUANLI_CLIENT_ID",
        ),
        "malformed": (f"unexpected answer from {host}{reason}", "is it a Kubeflow Pipelines server?"),
    }
    message, advice = texts[failure.kind]
    return StepError(f"cannot {operation.action}: {message}", advice=advice, kind="resources")


def _refused(transport: Transport, operation: Operation, failure: RequestFailure, reason: str) -> StepError:
    status, host = failure.status, transport.address
    kind: Kind = "settings"
    # The server names what it looked up, which may be another namespace or verb than the one asked for.
    named = re.search(r"Namespace:([^,]*),Verb:([^,]*).*?Resource:([^,]*)", failure.message)
    namespace, verb, resource = named.groups() if named else (transport.namespace, operation.verb, operation.resource)
    match status:
        case 401:
            message, advice = f"{host} refuses the credentials (401){reason}", SIGN_IN
        case 403:
            message = f"no right to {verb} {resource} in namespace {namespace or transport.namespace} (403)"
            message += "" if named else reason
            advice = f"ask for that right on {host}, or give another --namespace"
        case 404:
            message = f"{host} does not have it (404){reason}"
            advice = "check the name and --namespace; is it a Kubeflow Pipelines server?"
        case 409:
            message, kind = f"it exists already, or is being changed by someone else (409){reason}", "conflict"
            advice = "try again, or choose another name"
        case 429:
            message, kind = f"{host} has too many requests (429){reason}", "resources"
            advice = f"try again in {failure.retry_after:g} s" if failure.retry_after else "try again later"
        case _ if 300 <= status < 400:
            target = redact(failure.location.partition("?")[0], transport.secrets) or "another address"
            message = f"{host} redirects to {target} ({status})"
            advice = "a login page wants SUANLI_TOKEN_FILE, SUANLI_COOKIES or SUANLI_CLIENT_ID; else give it as --host"
        case _ if status < 500:
            message, advice = f"{host} refuses it ({status}){reason}", ""
        case _:
            message, kind = f"{host} failed ({status}){reason}", "resources"
            advice = "its reasons: kubectl logs -n kubeflow deploy/ml-pipeline"
    return StepError(f"cannot {operation.action}: {message}", advice=advice, kind=kind)


def redact(text: str, secrets: tuple[str, ...]) -> str:
    """A text as a part of one line: without secrets, line breaks and its last full stop, 400 characters at most."""
    for secret in secrets:
        text = text.replace(secret, "***")
    text = " ".join(re.sub(r"(?i)(bearer) [^\s'\"]+", r"\1 ***", text).split()).rstrip(".")
    return text if len(text) <= 400 else f"{text[:397]}..."
