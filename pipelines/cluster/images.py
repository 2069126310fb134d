"""What a registry has of an image, by its HTTP interface (OCI distribution, version 2)."""

import re
from typing import Any, Literal, NamedTuple

import urllib3

# Artifact Registry takes a Google access token; others answer without one if an image is public.
GOOGLE = (".pkg.dev", "gcr.io")
TIMEOUT_S = 10.0
MANIFESTS = (
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json"
)


DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Answer(NamedTuple):
    """A registry's answer: ``present``, with the digest that the tag names now if the registry tells it, ``absent``, or
    ``unknown`` with the reason."""

    state: Literal["present", "absent", "unknown"]
    reason: str = ""
    digest: str = ""


def look_up(image: str) -> Answer:
    """Ask an image's registry for its manifest.

    Args:
        image: ``HOST/PATH:TAG``; a HOST without a dot or a colon that is not ``localhost`` does not name a registry.
    """
    host, slash, rest = image.partition("/")
    if not slash or not (set(".:") & set(host) or host == "localhost"):
        return Answer("unknown", "their names include no registry")
    path, _, tag = rest.rpartition(":")
    try:
        response = _request("HEAD", host, f"{path}/manifests/{tag}", _headers(host))
    except urllib3.exceptions.HTTPError as error:
        cause = getattr(error, "reason", None) or error
        return Answer("unknown", f"{host} does not answer ({type(cause).__name__})")
    match response.status:
        case 200:
            digest = response.headers.get("Docker-Content-Digest", "")
            return Answer("present", digest=digest if DIGEST.fullmatch(digest) else "")
        case 404:
            return Answer("absent")
        case 401 | 403:
            return Answer("unknown", f"{host} requires credentials: gcloud auth application-default login")
    return Answer("unknown", f"{host} answers {response.status}")


def label(image: str, name: str) -> str:
    """A label of an image in its registry; empty if the image has none, or the registry does not show it.

    Args:
        image: ``HOST/PATH:TAG``.
        name: the label's name.
    """
    host, _, rest = image.partition("/")
    path, _, tag = rest.rpartition(":")
    try:
        headers = _headers(host)
        manifest = _request("GET", host, f"{path}/manifests/{tag}", headers).json()
        config: Any = _request("GET", host, f"{path}/blobs/{manifest['config']['digest']}", headers).json()
        return str(config["config"]["Labels"][name])
    except (urllib3.exceptions.HTTPError, ValueError, LookupError, TypeError):
        return ""


def _request(method: str, host: str, path: str, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
    return urllib3.request(
        method,
        f"{'http' if is_plain(host) else 'https'}://{host}/v2/{path}",
        headers=headers,
        timeout=TIMEOUT_S,
        retries=urllib3.Retry(2, redirect=3, raise_on_redirect=False, raise_on_status=False),
    )


def _headers(host: str) -> dict[str, str]:
    return {"Accept": MANIFESTS, **_credentials(host)}


def is_plain(host: str) -> bool:
    """Whether a registry speaks plain HTTP: as for docker, one on this machine does."""
    return host.partition(":")[0] in {"localhost", "127.0.0.1"}


def _credentials(host: str) -> dict[str, str]:
    """An access token of the machine's Google account, if it has one and the registry is Google's."""
    if not host.endswith(GOOGLE):
        return {}
    import google.auth.transport.requests

    try:
        credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
        credentials.refresh(google.auth.transport.requests.Request())
    except google.auth.exceptions.GoogleAuthError:
        return {}
    return {"Authorization": f"Bearer {credentials.token}"}
