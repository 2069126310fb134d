"""Resumable upload of one large file.

https://cloud.google.com/storage/docs/performing-resumable-uploads
"""

import re
from pathlib import Path
from typing import Any

from google.api_core.exceptions import from_http_response
from google.cloud.storage import Blob

from components.core.retry import Retry
from components.storage.client import TIMEOUT

INCOMPLETE = 308
RANGE = re.compile(r"bytes=0-(\d+)$")


def send(path: Path, blob: Blob, generation: int, retry: Retry) -> None:
    """Upload a file in one request; if it breaks, ask how much has arrived and send the rest.

    Args:
        path: of the file, which is not empty.
        generation: to replace; 0 if there must be no object.

    Raises:
        Exception: of Google's libraries: the upload is refused, its session is lost (404, 410), or the retries end.
    """
    size = path.stat().st_size
    session = blob.create_resumable_upload_session(
        content_type="application/octet-stream",
        size=size,
        if_generation_match=generation,
        timeout=TIMEOUT,
        retry=retry,
    )
    http, arrived, attempt, broken = blob.client._http, 0, 0, False
    with path.open("rb") as stream:
        while arrived < size:
            try:
                if broken:
                    before, arrived = arrived, _arrived(_put(http, session, b"", f"*/{size}"), size)
                    attempt = attempt if arrived <= before else 0
                    broken = False
                    continue
                stream.seek(arrived)
                arrived = _arrived(_put(http, session, stream, f"{arrived}-{size - 1}/{size}"), size)
                retry.succeed()
            except Exception as error:
                retry.pause(error, attempt)
                attempt, broken = attempt + 1, True


def _put(http: Any, session: str, body: Any, part: str) -> Any:
    # Elsewhere the status 308 is a redirect.
    headers = {"Content-Range": f"bytes {part}"}
    return http.put(session, data=body, headers=headers, timeout=TIMEOUT, allow_redirects=False)


def _arrived(response: Any, size: int) -> int:
    """The number of bytes that the server has stored."""
    if response.status_code in {200, 201}:
        return size
    if response.status_code != INCOMPLETE:
        raise from_http_response(response)
    match = RANGE.match(response.headers.get("Range", ""))
    return int(match[1]) + 1 if match else 0
