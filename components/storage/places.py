"""Names of places: a local path, or ``gs://bucket/name``."""

import os
from pathlib import Path

REMOTE = "gs://"
# Where buckets are mounted, a folder each. /gcs is Kubeflow's launcher's, which keeps copies of artifacts there.
MOUNTS, VARIABLE = "/mnt/gcs", "SUANLI_GCS_MOUNTS"


def is_remote(uri: str) -> bool:
    """Whether a place is in Cloud Storage."""
    return uri.startswith(REMOTE)


def join(uri: str, *parts: str) -> str:
    """A place below another."""
    return "/".join([uri.rstrip("/"), *parts])


def mounted(uri: str) -> str:
    """The path of a place in Cloud Storage whose bucket is mounted on this machine; empty where it is not."""
    path = Path(os.environ.get(VARIABLE) or MOUNTS, uri.removeprefix(REMOTE))
    return str(path) if is_remote(uri) and path.exists() else ""
