"""URIs: a local path, or ``gs://bucket/name``."""

import os
from pathlib import Path

REMOTE = "gs://"
# Buckets are mounted as folders in here. /gcs is in use: Kubeflow's launcher copies artifacts to it.
MOUNTS, VARIABLE = "/mnt/gcs", "SUANLI_GCS_MOUNTS"


def is_remote(uri: str) -> bool:
    """Whether a URI is in Cloud Storage."""
    return uri.startswith(REMOTE)


def join(uri: str, *parts: str) -> str:
    """The URI below another."""
    return "/".join([uri.rstrip("/"), *parts])


def mounted(uri: str) -> str:
    """The local path of a URI in Cloud Storage whose bucket is mounted on this machine; empty if it is not."""
    path = Path(os.environ.get(VARIABLE) or MOUNTS, uri.removeprefix(REMOTE))
    return str(path) if is_remote(uri) and path.exists() else ""
