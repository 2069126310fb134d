"""Requests to the Kubernetes API through the ``kubernetes`` package, each failure as one line.

kubernetes takes about a second to import, so ``access.connect`` imports this module once it is needed.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import urllib3
from kubernetes.client import ApiClient, ApiException
from urllib3 import exceptions

from components.core.errors import StepError
from components.core.retry import Retry
from pipelines.cluster.kube import kubeconfig
from pipelines.cluster.kube.errors import ForbiddenError
from pipelines.cluster.kube.kubeconfig import Loaded

CONNECT_S = 3.0
AGAIN = "try again; kubectl get --raw /readyz shows the state of the API server"


class Client:
    """A client of one cluster.

    Args:
        loaded: the settings of the kubeconfig or of this pod.
        timeout: seconds for one answer.
    """

    def __init__(self, loaded: Loaded, timeout: float) -> None:
        # One attempt each: three, as urllib3 would make, let a dead server look like a slow one.
        loaded.configuration.retries = urllib3.Retry(total=0)
        self._api_client = ApiClient(loaded.configuration)
        self.host, self.context, self.namespace = loaded.configuration.host, loaded.context, loaded.namespace
        self._timeout = timeout

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: Any = None,
        content: str = "application/json",
        missing_ok: bool = False,
    ) -> dict[str, Any] | None:
        """The server's JSON; None for an object that does not exist (404), if ``missing_ok``.

        The request is repeated if the connection is dropped, since the server may have closed one that was kept open,
        and for as long as the server asks for it (429 with Retry-After: too many requests, or a resource whose
        definition is new) and the timeout allows.

        Raises:
            ForbiddenError: this user may not.
            StepError: the server cannot be reached, refuses, or answers with an error.
        """
        throttled = Retry(
            lambda error: _retry_after(error) is not None,
            timeout=self._timeout,
            retry_after=lambda error: _retry_after(error) or 0.0,
        )
        dropped = Retry(
            lambda error: isinstance(_reason(error), exceptions.ProtocolError),
            timeout=self._timeout,
            attempts=2,
            first=0.1,
        )

        # Plain JSON in place of the client's classes: these refuse whole lists for one field that a server leaves out.
        def send() -> Any:
            return self._api_client.call_api(
                path,
                method,
                query_params=list(query),
                header_params={"Accept": "application/json", "Content-Type": content},
                body=body,
                response_type="object",
                auth_settings=["BearerToken"],
                _return_http_data_only=True,
                _request_timeout=(CONNECT_S, self._timeout),
            )

        try:
            answer = throttled(dropped(send))()
        except ApiException as error:
            if missing_ok and error.status == 404:
                return None
            raise self._refused(path, error) from None
        except exceptions.HTTPError as error:
            raise StepError(
                f"no answer from the cluster at {self.host}: {self._cause(error)}",
                advice=f"check the context {self.context} with kubectl get pods",
                kind="resources",
            ) from None
        if not isinstance(answer, dict):
            raise StepError(
                f"{self.host} is not a Kubernetes API: its answer is not a JSON object",
                advice=f"check the server of the context {self.context}",
                kind="settings",
            )
        return answer

    def _cause(self, error: Exception) -> str:
        """The cause of a failed connection in words."""
        reason = _reason(error)
        match reason:
            case exceptions.ReadTimeoutError():
                return f"nothing within {self._timeout:g} s"
            # urllib3 derives an unknown name from a refused connection, and that from a timeout: the order counts.
            case exceptions.NameResolutionError():
                return "its name is not known"
            case exceptions.NewConnectionError():
                return "connection refused" if "refused" in str(reason) else "it cannot be reached"
            case exceptions.ConnectTimeoutError():
                return f"no connection within {CONNECT_S:g} s"
            case exceptions.SSLError():
                return f"its certificate is not accepted ({str(reason)[:120]})"
            case exceptions.ProtocolError():
                return "the connection was dropped"
        return type(reason).__name__

    def _refused(self, path: str, error: ApiException) -> StepError:
        """An error status as one line."""
        try:
            text = json.loads(error.body)["message"]
        except (TypeError, ValueError, KeyError):
            text = error.reason or "no reason given"
        message = " ".join(str(text).split())[:300]
        match error.status:
            case 401:
                return StepError(
                    f"the cluster at {self.host} refuses the credentials of the context {self.context} (401)",
                    advice="log in again, or fetch new ones: gcloud container clusters get-credentials",
                    kind="settings",
                )
            case 403:
                return ForbiddenError(f"no right to {path}: {message}", kind="settings")
            case 0 | None:
                return StepError(
                    f"no answer from the cluster at {self.host}: {message}", advice=AGAIN, kind="resources"
                )
        return StepError(
            f"the cluster at {self.host} answers {error.status} for {path}: {message}", advice=AGAIN, kind="resources"
        )


def open_client(kube_context: str, environ: Mapping[str, str], timeout: float) -> Client | None:
    """A client for a context, or for the cluster of this pod; None without a kubeconfig and outside a pod.

    Raises:
        StepError: the kubeconfig is broken.
    """
    loaded = kubeconfig.load(kube_context, environ)
    return Client(loaded, timeout) if loaded else None


def _reason(error: Exception) -> Any:
    return getattr(error, "reason", None) or error


def _retry_after(error: Exception) -> float | None:
    """Seconds after which the server asks for the request again, if it does."""
    if not isinstance(error, ApiException) or error.status != 429:
        return None
    pause = (error.headers or {}).get("Retry-After", "")
    return float(pause) if pause.isdigit() else None
