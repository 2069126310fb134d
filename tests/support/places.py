"""Artifacts for tests."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Place:
    """An artifact as a step's logic sees it."""

    path: str
    uri: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
