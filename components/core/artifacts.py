"""The interface of KFP artifacts that steps use."""

from typing import Any, Protocol


class Artifact(Protocol):
    """Files, and metadata that Kubeflow's user interface shows."""

    path: str
    uri: str
    metadata: dict[str, Any]
