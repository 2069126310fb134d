"""HTTP for the generated Kubeflow client: one time limit for a whole request, no redirects, no retries of its own.

The generated one waits for ever by default, follows a redirect to a login page, and takes a page that is not JSON
for an object whose fields are all empty.
"""

import json
import time
import warnings
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import kfp_server_api
import urllib3
from kfp_server_api.rest import RESTClientObject


class NotJsonError(Exception):
    """An answer whose status is good and whose body is something else than JSON.

    Args:
        kind: its content type.
        start: how the body begins.
    """

    def __init__(self, kind: str, start: str) -> None:
        super().__init__(f"{kind}: {start}")
        self.kind = kind
        self.start = start


class TooSlowError(Exception):
    """A body that was still coming when the time was up."""


@dataclass
class Answer:
    """A whole answer, as the generated client reads it."""

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
        timeout: seconds for a whole request, if the request does not say.
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
    ) -> Answer:
        """Make a request and read its answer.

        Raises:
            kfp_server_api.ApiException: the status is not a good one.
            NotJsonError: the answer is no JSON.
            TooSlowError: the body did not end in time.
            urllib3.exceptions.HTTPError: no answer.
        """
        limit = _request_timeout or self.timeout
        until = time.monotonic() + limit
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
            # Whoever asked for no check of the certificate needs no reminder at each request.
            warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)
            response = self.pool_manager.request(
                method,
                url,
                headers=headers,
                preload_content=False,
                timeout=urllib3.Timeout(connect=limit, read=limit),
                retries=False,
                **content,
            )
        try:
            data = _read(response, until)
        finally:
            response.release_conn()
        return _good(Answer(response.status, response.reason or "", data, dict(response.headers)))


def _read(response: Any, until: float) -> bytes:
    """The body. urllib3's own limit is for each piece, so a server that sends a byte now and then would never end."""
    parts = []
    while part := response.read1(65536):
        parts.append(part)
        if time.monotonic() > until:
            response.close()
            raise TooSlowError
    # The generated client decodes an error's body strictly.
    return b"".join(parts).decode(errors="replace").encode()


def _good(answer: Answer) -> Answer:
    if not 200 <= answer.status <= 299:
        raise kfp_server_api.ApiException(http_resp=answer)
    try:
        json.loads(answer.data)
    except ValueError:
        start = answer.data[:80].decode(errors="replace")
        raise NotJsonError(answer.getheader("Content-Type") or "no content type", start) from None
    return answer
