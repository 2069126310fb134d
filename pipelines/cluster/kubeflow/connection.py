"""The settings of a connection to a Kubeflow Pipelines server: its address and the credentials."""

import os
from collections.abc import Mapping
from typing import Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from components.core.errors import StepError

# Each setting's environment variables, ours first, then the one that kfp.Client itself reads.
VARIABLES: dict[str, tuple[str, ...]] = {
    "host": ("SUANLI_HOST", "KF_PIPELINES_ENDPOINT"),
    "namespace": ("SUANLI_NAMESPACE",),
    "server_namespace": ("SUANLI_SERVER_NAMESPACE",),
    "token": ("SUANLI_TOKEN",),
    "token_file": ("SUANLI_TOKEN_FILE", "KF_PIPELINES_SA_TOKEN_PATH"),
    "cookies": ("SUANLI_COOKIES",),
    "client_id": ("SUANLI_CLIENT_ID", "KF_PIPELINES_IAP_OAUTH2_CLIENT_ID"),
    "other_client_id": ("SUANLI_OTHER_CLIENT_ID", "KF_PIPELINES_APP_OAUTH2_CLIENT_ID"),
    "other_client_secret": ("SUANLI_OTHER_CLIENT_SECRET", "KF_PIPELINES_APP_OAUTH2_CLIENT_SECRET"),
    "ssl_ca_cert": ("SUANLI_SSL_CA_CERT",),
    "verify_ssl": ("SUANLI_VERIFY_SSL",),
    "proxy": ("SUANLI_PROXY",),
    "kube_context": ("SUANLI_KUBE_CONTEXT",),
    "in_cluster": ("SUANLI_IN_CLUSTER",),
    "ui_host": ("SUANLI_UI_HOST", "KF_PIPELINES_UI_ENDPOINT"),
    "timeout": ("SUANLI_TIMEOUT",),
}


class Connection(BaseModel):
    """Everything that ``kfp.Client`` can authenticate with. Secrets are shown as stars, and written nowhere."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    host: str = Field("", description="the server's address, such as http://localhost:8080")
    namespace: str = Field("kubeflow", description="the namespace of the runs; sent to multi-user servers only")
    server_namespace: str = Field("kubeflow", description="the server's own namespace, for in_cluster and kube_context")
    token: SecretStr | None = Field(None, description="a bearer token")
    token_file: str = Field("", description="a file with a bearer token, read for each request")
    cookies: SecretStr | None = Field(None, description="a Cookie header, such as authservice_session=...")
    client_id: str = Field("", description="the OAuth client that Identity-Aware Proxy protects the server with")
    other_client_id: str = Field("", description="the desktop OAuth client that signs a person in")
    other_client_secret: SecretStr | None = Field(None, description="the desktop OAuth client's secret")
    ssl_ca_cert: str = Field("", description="a file with the certificates to trust")
    verify_ssl: bool = Field(True, description="whether the server's certificate is checked")
    proxy: str = Field("", description="the address of an HTTP proxy")
    kube_context: str = Field("", description="reach the server through this context of kubeconfig")
    in_cluster: bool = Field(False, description="reach the server from a pod of its cluster")
    ui_host: str = Field("", description="the user interface's address for links, if it is another one")
    timeout: float = Field(30.0, gt=0, description="seconds until a request without an answer fails")

    @field_validator("host", "ui_host")
    @classmethod
    def _address(cls, value: str) -> str:
        """The address with its scheme, and without what a browser's address bar adds."""
        if not value:
            return ""
        if "://" not in value:
            local = value.startswith(("localhost", "127.", "[::1]"))
            value = f"{'http' if local else 'https'}://{value}"
        parts = urlsplit(value)
        try:
            good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            good = False
        if not good:
            raise ValueError("must be an address such as http://localhost:8080")
        if parts.username or parts.password:
            raise ValueError("must not hold a user name or password: give a token or cookies")
        return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"

    @field_validator("token", "cookies", "other_client_secret")
    @classmethod
    def _one_line(cls, value: SecretStr | None) -> SecretStr | None:
        """http.client would show a header that holds a line break in its error."""
        if value is None or not (text := value.get_secret_value().strip()):
            return None
        if not text.isprintable() or not text.isascii():
            raise ValueError("must be one line of printable ASCII characters")
        return SecretStr(text)

    @model_validator(mode="after")
    def _exclusive(self) -> Self:
        alternatives = [name for name in ("host", "in_cluster", "kube_context") if getattr(self, name)]
        if len(alternatives) > 1:
            raise ValueError(f"{' and '.join(alternatives)} exclude each other")
        if self.token and self.token_file:
            raise ValueError("token and token_file exclude each other")
        if bool(self.other_client_id) != bool(self.other_client_secret):
            raise ValueError("other_client_id and other_client_secret belong together")
        return self

    @property
    def address(self) -> str:
        """What messages call the server."""
        return self.host or f"ml-pipeline in namespace {self.server_namespace}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no message may show."""
        secrets = (self.token, self.cookies, self.other_client_secret)
        return tuple(secret.get_secret_value() for secret in secrets if secret)


def from_environment(flags: Mapping[str, object] | None = None, environ: Mapping[str, str] | None = None) -> Connection:
    """A connection from flags and, for what they leave out, from the environment.

    Args:
        flags: a Connection's fields; one that is None was not given.
        environ: the environment; by default the process's own.

    Raises:
        StepError: a value is invalid. A secret's value is never shown.
    """
    environ = os.environ if environ is None else environ
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    # A flag for one of several alternatives overrides the variables of the others.
    overridden = {
        name
        for group in (("host", "in_cluster", "kube_context"), ("token", "token_file"))
        if any(given.get(name) for name in group)
        for name in group
    }
    from_variables = {
        name: next(environ[variable] for variable in variables if environ.get(variable))
        for name, variables in VARIABLES.items()
        if name not in given and name not in overridden and any(environ.get(variable) for variable in variables)
    }
    try:
        return Connection.model_validate({**from_variables, **given})
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        where = VARIABLES[name][0] if name in from_variables else f"--{name.replace('_', '-')}"
        message = first["msg"].removeprefix("Value error, ")
        raise StepError(f"{where if name else 'the connection'}: {message}", kind="settings") from None
