"""A ``kfp.Client`` for a connection."""

import contextlib
import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.core.errors import StepError
from pipelines.cluster.kubeflow.failure import plain

if TYPE_CHECKING:
    from pipelines.cluster.kubeflow.connection import Connection


def open_client(connection: "Connection") -> Any:
    """A ``kfp.Client`` that makes no request by itself, prints nothing and waits for no longer than it should."""
    import kfp

    from pipelines.cluster.kubeflow.rest import Rest

    class Client(kfp.Client):
        def _load_context_setting_or_default(self) -> None:
            # With a namespace in its settings the constructor asks for no health, which it would do five times
            # without a time limit. Namespaces are given with each request.
            super()._load_context_setting_or_default()
            self._context_setting.setdefault("namespace", "")
            self._context_setting["namespace"] = self._context_setting["namespace"] or connection.namespace

    said = io.StringIO()
    try:
        token = _token(connection)
        with warnings.catch_warnings(), contextlib.redirect_stdout(said):
            warnings.simplefilter("ignore")
            client = Client(**_arguments(connection, token))
    except StepError:
        raise
    except Exception as error:
        raise StepError(
            f"cannot sign in to {connection.address}: {_why(error, connection)}",
            advice="check the settings of the connection, and ~/.config/kfp",
            kind="settings",
        ) from error
    # kfp.Client has no public name for the one object that all its requests go through.
    line = client._run_api.api_client
    if "Failed to load kube config" in said.getvalue():
        name = f"no context {connection.kube_context!r} in kubeconfig" if connection.kube_context else "no pod here"
        raise StepError(f"cannot reach the cluster: {name}", advice="see kubectl config get-contexts", kind="settings")
    line.configuration.host = line.configuration.host.rstrip("/")
    if not line.configuration.host.startswith("http"):
        line.configuration.host = f"http://{line.configuration.host}"
    line.rest_client = Rest(line.configuration, connection.timeout)
    return client


def _arguments(connection: "Connection", token: str | None) -> dict[str, Any]:
    """The constructor's arguments."""
    host = connection.host
    if connection.in_cluster:
        host = f"http://ml-pipeline.{connection.server_namespace}.svc.cluster.local:8888"
    return {
        "host": host or None,
        "namespace": connection.server_namespace,
        "existing_token": token,
        "client_id": connection.client_id or None,
        "cookies": connection.cookies.get_secret_value() if connection.cookies else None,
        "credentials": _credentials(connection),
        "ssl_ca_cert": connection.ssl_ca_cert or None,
        "verify_ssl": connection.verify_ssl,
        "proxy": connection.proxy or None,
        "kube_context": connection.kube_context or None,
        "ui_host": connection.ui_host or None,
    }


def _credentials(connection: "Connection") -> Any:
    """What reads a token from a file at each request: the one given, or in a pod the one that the kubelet mounts."""
    from kfp.client import KF_PIPELINES_SA_TOKEN_PATH
    from kfp.client.set_volume_credentials import ServiceAccountTokenVolumeCredentials

    path = Path(connection.token_file or KF_PIPELINES_SA_TOKEN_PATH)
    if path.is_file():
        wanted = bool(connection.token_file) or (connection.in_cluster and not connection.token)
        return ServiceAccountTokenVolumeCredentials(str(path)) if wanted else None
    if connection.token_file:
        raise StepError(
            f"the token file {path} does not exist", advice="set another SUANLI_TOKEN_FILE", kind="settings"
        )
    return None


def _token(connection: "Connection") -> str | None:
    """The bearer token, if one is given or a person has to sign in for one.

    kfp.Client would write the desktop client's secret and refresh token to ~/.config/kfp/credentials.json.
    """
    if connection.token:
        return connection.token.get_secret_value()
    if not (connection.client_id and connection.other_client_id and connection.other_client_secret):
        return None
    from kfp.client import auth

    secret = connection.other_client_secret.get_secret_value()
    refresh, _ = auth.get_refresh_token_from_client_id(connection.other_client_id, secret)
    token: str = auth.id_token_from_refresh_token(connection.other_client_id, secret, refresh, connection.client_id)
    return token


def _why(error: Exception, connection: "Connection") -> str:
    return plain(str(error), connection.secrets) or type(error).__name__
