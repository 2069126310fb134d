"""Why a request brought nothing, out of an exception of the generated client, of urllib3 or of our HTTP."""

import json
import re
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Literal


@dataclass(frozen=True)
class Failure:
    """Why a request brought nothing.

    Attributes:
        kind: ``status`` (the server says no), ``down`` (nothing was sent), ``hang``, ``dropped``, ``page`` (no JSON),
            ``tls`` or ``broken`` (an answer of another shape).
        status: of the HTTP answer, or 0.
        message: the server's own words, or the connection's fault.
        retry_after: the seconds that the server asks to wait, or None.
        location: where a redirect leads.
    """

    kind: Literal["status", "down", "hang", "dropped", "page", "tls", "broken"]
    status: int = 0
    message: str = ""
    retry_after: float | None = None
    location: str = ""

    @property
    def passing(self) -> bool:
        """Whether the same request may succeed a moment later."""
        return self.status in (429, 502, 503, 504) or self.kind == "dropped"

    @property
    def unknown(self) -> bool:
        """Whether the server may have done what it was asked to do."""
        return self.kind in ("hang", "dropped", "page", "broken") or self.status >= 500


class RequestError(Exception):
    """A request's failure, before it is put into words."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.kind)
        self.failure = failure


def failure_of(fault: Exception, secrets: tuple[str, ...]) -> Failure:
    """What an exception means; its text is shown without the secrets."""
    import kfp_server_api
    from urllib3 import exceptions

    from pipelines.cluster.kubeflow.rest import NotJsonError, TooSlowError

    text = plain(str(fault), secrets)
    match fault:
        case kfp_server_api.ApiException(status=int(status)) if status:
            headers = {name.lower(): value for name, value in (fault.headers or {}).items()}
            return Failure(
                "status",
                status,
                plain(_said(fault.body) or str(fault.reason), secrets),
                _seconds(headers.get("retry-after", "")),
                headers.get("location", ""),
            )
        case NotJsonError():
            return Failure("page", message=plain(f"{fault.kind}: {fault.start}", secrets))
        case exceptions.SSLError():
            return Failure("tls", message=text)
        case exceptions.NewConnectionError() | exceptions.ConnectTimeoutError() | exceptions.ProxyError():
            return Failure("down", message=_cause(fault, text))
        case exceptions.LocationParseError() | exceptions.LocationValueError():
            return Failure("down", message=text)
        case exceptions.TimeoutError() | TooSlowError():
            return Failure("hang")
        case exceptions.HTTPError():
            return Failure("dropped", message=text)
        case OSError():
            return Failure("down", message=text)
        case _:
            # Its text may hold the request's headers.
            return Failure("broken", message=type(fault).__name__)


def _cause(fault: Exception, text: str) -> str:
    """The operating system's words rather than urllib3's."""
    cause = fault.__cause__
    return cause.strerror or text if isinstance(cause, OSError) else text.rpartition(": ")[2]


def _said(body: Any) -> str:
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
    said = [str(one) for one in (*both, value.get("message"), value.get("error")) if one]
    # The short form of every fault of the server's own says no more than this.
    return next((one for one in said if one != "Internal Server Error"), said[0] if said else "")


def _seconds(text: str) -> float | None:
    """A Retry-After, which is a number of seconds or a date, in seconds from now; None if there is none."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def plain(text: str, secrets: tuple[str, ...]) -> str:
    """A text as a part of one line: without secrets, line breaks, its last full stop, and not too long."""
    for secret in secrets:
        text = text.replace(secret, "***")
    text = " ".join(re.sub(r"(?i)(bearer) [^\s'\"]+", r"\1 ***", text).split()).rstrip(".")
    return text if len(text) <= 400 else f"{text[:397]}..."
