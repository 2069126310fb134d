"""The upload of one large file, which goes on where it broke.

https://cloud.google.com/storage/docs/performing-resumable-uploads
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.core.retry import Retry
from components.storage.client import TIMEOUT

if TYPE_CHECKING:
    from google.cloud.storage import Blob

INCOMPLETE = 308
RANGE = re.compile(r"bytes=0-(\d+)$")


def send(path: Path, blob: "Blob", generation: int, retry: Retry) -> None:
    """Upload a file in one request; where that breaks, ask how much arrived and send the rest.

    Args:
        path: the file, not empty.
        generation: what the object must have now; 0 for no object.

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
    # A redirect is what the answer 308 means elsewhere.
    headers = {"Content-Range": f"bytes {part}"}
    return http.put(session, data=body, headers=headers, timeout=TIMEOUT, allow_redirects=False)


def _arrived(answer: Any, size: int) -> int:
    """How many bytes are stored for good, by the server's answer."""
    from google.api_core.exceptions import from_http_response

    if answer.status_code in {200, 201}:
        return size
    if answer.status_code != INCOMPLETE:
        raise from_http_response(answer)
    match = RANGE.match(answer.headers.get("Range", ""))
    return int(match[1]) + 1 if match else 0
