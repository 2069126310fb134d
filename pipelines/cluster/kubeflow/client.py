"""The ``kfp`` client over HTTP of our own: one time limit for a whole request, no redirects, no retries of its own.

The generated client waits for ever by default, follows a redirect to a login page, and takes a page that is not JSON
for an object whose fields are all empty.

kfp takes more than a second to import, so ``server.connect`` imports this module once it is needed.
"""

import contextlib
import io
import json
import re
import time
import warnings
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import kfp
import kfp_server_api
import urllib3
from kfp.client import KF_PIPELINES_SA_TOKEN_PATH, auth
from kfp.client.set_volume_credentials import ServiceAccountTokenVolumeCredentials
from kfp_server_api.rest import RESTClientObject
from urllib3 import exceptions

from components.core.errors import StepError
from pipelines.cluster.kubeflow.connection import Connection
from pipelines.cluster.kubeflow.request import RequestError, RequestFailure, redact


class NotJsonError(Exception):
    """A response with a good status whose body is not JSON: its content type, and how the body begins."""


class TooSlowError(Exception):
    """A body was still arriving when the time was up."""


class Client(kfp.Client):
    """A ``kfp.Client`` that makes no request by itself.

    Args:
        connection: where the server is.
        token: the bearer token, if any.
    """

    def __init__(self, connection: Connection, token: str | None) -> None:
        self._connection = connection
        host = connection.host
        if connection.in_cluster:
            host = f"http://ml-pipeline.{connection.server_namespace}.svc.cluster.local:8888"
        super().__init__(
            host=host or None,
            namespace=connection.server_namespace,
            existing_token=token,
            client_id=connection.client_id or None,
            cookies=connection.cookies.get_secret_value() if connection.cookies else None,
            credentials=_token_file(connection),
            ssl_ca_cert=connection.ssl_ca_cert or None,
            verify_ssl=connection.verify_ssl,
            proxy=connection.proxy or None,
            kube_context=connection.kube_context or None,
            ui_host=connection.ui_host or None,
        )
        # kfp.Client has no public name for the one object that all its requests go through.
        self._api_client = self._run_api.api_client
        configuration = self._api_client.configuration
        configuration.host = configuration.host.rstrip("/")
        if not configuration.host.startswith("http"):
            configuration.host = f"http://{configuration.host}"
        self._api_client.rest_client = Rest(configuration, connection.timeout)

    def _load_context_setting_or_default(self) -> None:
        # With a namespace in its settings the constructor asks for no health, which it would do five times without a
        # time limit. Namespaces are given with each request.
        super()._load_context_setting_or_default()
        self._context_setting["namespace"] = self._context_setting.get("namespace") or self._connection.namespace

    def send(self, method: str, timeout: float, arguments: dict[str, Any]) -> Any:
        """Make one request.

        Args:
            method: of the generated client, as ``runs.run_service_get_run``, or a path to GET.
            timeout: seconds.
            arguments: the method's.

        Raises:
            RequestError: it failed.
        """
        limit = {"_request_timeout": max(timeout, 0.05)}
        try:
            if method.startswith("/"):
                options = {"auth_settings": ["Bearer"], "response_type": "object", "_return_http_data_only": True}
                return self._api_client.call_api(method, "GET", **options, **limit)
            group, _, name = method.partition(".")
            return getattr(getattr(self, group), name)(**arguments, **limit)
        except StepError:
            raise
        except Exception as error:
            raise RequestError(_failure(error, self._connection.secrets)) from error


def open_client(connection: Connection) -> Client:
    """A client that is signed in; nothing is printed.

    Raises:
        StepError: there is no such context or token file, or the sign-in failed.
    """
    printed = io.StringIO()
    try:
        token = _token(connection)
        with warnings.catch_warnings(), contextlib.redirect_stdout(printed):
            warnings.simplefilter("ignore")
            client = Client(connection, token)
    except StepError:
        raise
    except Exception as error:
        reason = redact(str(error), connection.secrets) or type(error).__name__
        raise StepError(
            f"cannot sign in to {connection.address}: {reason}",
            advice="check the settings of the connection, and ~/.config/kfp",
            kind="settings",
        ) from error
    if "Failed to load kube config" in printed.getvalue():
        context = connection.kube_context
        reason = f"no context {context!r} in kubeconfig" if context else "this is not a pod"
        raise StepError(
            f"cannot reach the cluster: {reason}", advice="see kubectl config get-contexts", kind="settings"
        )
    return client


def _token_file(connection: Connection) -> ServiceAccountTokenVolumeCredentials | None:
    """A token that is read from a file at each request: the given file, or in a pod the one that the kubelet mounts."""
    path = Path(connection.token_file or KF_PIPELINES_SA_TOKEN_PATH)
    if path.is_file():
        wanted = bool(connection.token_file) or (connection.in_cluster and not connection.token)
        return ServiceAccountTokenVolumeCredentials(str(path)) if wanted else None
    if connection.token_file:
        raise StepError(
            f"the token file {path} does not exist", advice="set another SUANLI_TOKEN_FILE", kind="settings"
        )
    return None


def _token(connection: Connection) -> str | None:
    """The bearer token, if one is given or a person has to sign in for one.

    kfp.Client would write the desktop client's secret and refresh token to ~/.config/kfp/credentials.json.
    """
    if connection.token:
        return connection.token.get_secret_value()
    if not (connection.client_id and connection.other_client_id and connection.other_client_secret):
        return None
    secret = connection.other_client_secret.get_secret_value()
    refresh, _ = auth.get_refresh_token_from_client_id(connection.other_client_id, secret)
    token: str = auth.id_token_from_refresh_token(connection.other_client_id, secret, refresh, connection.client_id)
    return token


# --- HTTP ------------------------------------------------------------------------------------------------------------


@dataclass
class Response:
    """A whole response, as the generated client reads it."""

    status: int
    reason: str
    data: bytes
    headers: dict[str, str]

    def getheaders(self) -> dict[str, str]:
        return self.headers

    def getheader(self, name: str, default: str | None = None) -> str | None:
        return next((value for key, value in self.headers.items() if key.lower() == name.lower()), default)


class Rest(RESTClientObject):
    """The generated client's HTTP.

    Args:
        configuration: the generated client's.
        timeout: seconds for a whole request, if the request sets no limit.
    """

    def __init__(self, configuration: Any, timeout: float) -> None:
        super().__init__(configuration)
        self.timeout = timeout

    def request(
        self,
        method: str,
        url: str,
        query_params: Any = None,
        headers: dict[str, str] | None = None,
        body: Any = None,
        post_params: Any = None,
        _preload_content: bool = True,
        _request_timeout: float | None = None,
    ) -> Response:
        """Make a request and read its response.

        Raises:
            kfp_server_api.ApiException: the status is not 2xx.
            NotJsonError: the body is not JSON.
            TooSlowError: the body did not end in time.
            urllib3.exceptions.HTTPError: there was no response.
        """
        limit = _request_timeout or self.timeout
        deadline = time.monotonic() + limit
        headers = dict(headers or {})
        if query_params:
            url = f"{url}?{urlencode(query_params)}"
        if headers.get("Content-Type") == "multipart/form-data":
            # urllib3 writes this header itself, with the boundary.
            del headers["Content-Type"]
            content: dict[str, Any] = {"fields": post_params, "encode_multipart": True}
        else:
            headers.setdefault("Content-Type", "application/json")
            content = {"body": None if body is None else json.dumps(body)}
        with warnings.catch_warnings():
            # Whoever has turned the check of the certificate off needs no reminder at each request.
            warnings.simplefilter("ignore", exceptions.InsecureRequestWarning)
            stream = self.pool_manager.request(
                method,
                url,
                headers=headers,
                preload_content=False,
                timeout=urllib3.Timeout(connect=limit, read=limit),
                retries=False,
                **content,
            )
        try:
            data = _read(stream, deadline)
        finally:
            stream.release_conn()
        response = Response(stream.status, stream.reason or "", data, dict(stream.headers))
        if not 200 <= response.status <= 299:
            raise kfp_server_api.ApiException(http_resp=response)
        try:
            json.loads(data)
        except ValueError:
            start = data[:80].decode(errors="replace")
            raise NotJsonError(f"{response.getheader('Content-Type') or 'no content type'}: {start}") from None
        return response


def _read(stream: Any, deadline: float) -> bytes:
    """The body. urllib3's own limit is for each piece, so a server that sends a byte now and then would never end."""
    parts = []
    while part := stream.read1(65536):
        parts.append(part)
        if time.monotonic() > deadline:
            stream.close()
            raise TooSlowError
    # The generated client decodes an error's body strictly.
    return b"".join(parts).decode(errors="replace").encode()


# --- why a request failed --------------------------------------------------------------------------------------------


def _failure(error: Exception, secrets: tuple[str, ...]) -> RequestFailure:
    """What an exception of the generated client, of urllib3 or of our HTTP means, without the secrets in its text."""
    text = redact(str(error), secrets)
    match error:
        case kfp_server_api.ApiException(status=int(status)) if status:
            headers = {name.lower(): value for name, value in (error.headers or {}).items()}
            return RequestFailure(
                "status",
                status,
                redact(_message(error.body) or str(error.reason), secrets),
                _retry_after(headers.get("retry-after", "")),
                headers.get("location", ""),
            )
        case NotJsonError():
            return RequestFailure("not-json", message=text)
        case exceptions.SSLError():
            return RequestFailure("tls", message=text)
        case exceptions.NewConnectionError() | exceptions.ConnectTimeoutError() | exceptions.ProxyError():
            # The operating system's words rather than urllib3's.
            cause = error.__cause__
            reason = cause.strerror or text if isinstance(cause, OSError) else text.rpartition(": ")[2]
            return RequestFailure("unreachable", message=reason)
        case exceptions.LocationParseError() | exceptions.LocationValueError():
            return RequestFailure("unreachable", message=text)
        case exceptions.TimeoutError() | TooSlowError():
            return RequestFailure("timeout")
        case exceptions.HTTPError():
            return RequestFailure("dropped", message=text)
        case OSError():
            return RequestFailure("unreachable", message=text)
        case _:
            # Its text may hold the request's headers.
            return RequestFailure("malformed", message=type(error).__name__)


def _message(body: Any) -> str:
    """The message in an error's body: grpc-gateway's, the upload server's, a proxy's text; empty for a web page."""
    text = body.decode(errors="replace") if isinstance(body, bytes) else str(body or "")
    try:
        value = json.loads(text)
    except ValueError:
        return "" if "<html" in text.lower() or "<!doctype" in text.lower() else text
    if not isinstance(value, dict):
        return text
    details = value.get("details")
    inner = details[0] if isinstance(details, list) and details and isinstance(details[0], dict) else {}
    both = (inner.get("error_message"), inner.get("message"), value.get("error_message"))
    messages = [str(one) for one in (*both, value.get("message"), value.get("error")) if one]
    # The short form of every fault of the server's own is no more than this.
    return next((one for one in messages if one != "Internal Server Error"), messages[0] if messages else "")


def _retry_after(text: str) -> float | None:
    """The seconds of a Retry-After header, which holds a number or a date; None without one."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None
