"""Where a chain of runs keeps its things, on a local path or in ``gs://``: what lies there, seen past the faults."""

import hashlib
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

REMOTE = "gs://"


@dataclass(frozen=True)
class Places:
    """The three places of a target.

    Attributes:
        data_root: prepared data.
        checkpoint_root: checkpoints.
        registry: published models, one folder each.
    """

    data_root: str
    checkpoint_root: str
    registry: str

    @classmethod
    def below(cls, root: str) -> "Places":
        """All three below one root."""
        return cls(f"{root}/store", f"{root}/checkpoints", f"{root}/registry")

    def arguments(self) -> dict[str, str]:
        return asdict(self)


class Reader:
    """Reads places without the code under test, and without the proxy that breaks connections.

    Args:
        url: the emulator behind the proxy; empty where everything is local.
    """

    def __init__(self, url: str = "") -> None:
        self._client: Any = None
        if url:
            from google.cloud import storage

            self._client = storage.Client(
                project="chaos",
                credentials=_anonymous(),
                client_options={"api_endpoint": url},
            )

    def state(self, place: str) -> dict[str, tuple[int, ...]]:
        """File -> numbers that change whenever it is written."""
        if place.startswith(REMOTE):
            return {name: (int(blob.generation),) for name, blob in self._blobs(place).items()}
        found: dict[str, tuple[int, ...]] = {}
        for folder, _, names in os.walk(place):
            for name in names:
                # A file may go between being listed and being looked at.
                with suppress(FileNotFoundError):
                    path = Path(folder, name)
                    seen = path.stat()
                    found[str(path.relative_to(place))] = (seen.st_ino, seen.st_size, seen.st_mtime_ns)
        return found

    def read(self, place: str) -> dict[str, bytes]:
        """File -> its bytes."""
        if place.startswith(REMOTE):
            return {name: blob.download_as_bytes() for name, blob in self._blobs(place).items()}
        return {name: Path(place, name).read_bytes() for name in self.state(place)}

    def digests(self, place: str) -> dict[str, str]:
        """File -> a digest of its bytes."""
        return {name: digest(content) for name, content in self.read(place).items()}

    def _blobs(self, place: str) -> dict[str, Any]:
        bucket, _, prefix = place.removeprefix(REMOTE).partition("/")
        listed = self._client.list_blobs(bucket, prefix=f"{prefix}/")
        return {blob.name.removeprefix(f"{prefix}/"): blob for blob in listed}


def digest(content: bytes) -> str:
    """Sixteen hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()[:16]


def _anonymous() -> Any:
    from google.auth.credentials import AnonymousCredentials

    return AnonymousCredentials()
