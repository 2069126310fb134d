"""The registry of one model: immutable ``versions/<id>/`` and ``champion.json``, on a local path or gs://.

A version is written whole before ``champion.json`` names it, and naming it is a compare-and-swap on the champion that
the challenger was compared with: by an exclusive lock locally, by the object's generation in Cloud Storage. A crash
between any two writes therefore leaves the champion of before, and the next publish goes on from there.
"""

from components.registry.naming import CHAMPION, Entry, state
from components.registry.publishing import publish
from components.registry.versions import MODEL, VERSION, Champion, champion, version_uri

__all__ = ["CHAMPION", "MODEL", "VERSION", "Champion", "Entry", "champion", "publish", "state", "version_uri"]
