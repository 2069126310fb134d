"""The registry of one model: immutable ``versions/<id>/``, ``champion.json`` and its history, on a local path or gs://.

A version is complete before ``champion.json`` names it, and that is a compare-and-swap on the champion that the
challenger was compared with: by an exclusive lock locally, by the object's generation in Cloud Storage. After a crash
between any two writes the champion is unchanged, and the next publish continues from there.
"""

from components.registry.decisions import looks
from components.registry.history import Entry
from components.registry.pointer import CHAMPION, state
from components.registry.publishing import publish
from components.registry.versions import (
    MODEL,
    VERSION,
    Champion,
    anchor,
    champion,
    require_intact,
    version_id,
    version_uri,
)

__all__ = [
    "CHAMPION",
    "MODEL",
    "VERSION",
    "Champion",
    "Entry",
    "anchor",
    "champion",
    "looks",
    "publish",
    "require_intact",
    "state",
    "version_id",
    "version_uri",
]
