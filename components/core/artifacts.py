"""What a step's logic sees of a KFP artifact."""

from typing import Any, Protocol


class Artifact(Protocol):
    """A place for files, and a dictionary that the user interface shows."""

    path: str
    uri: str
    metadata: dict[str, Any]
