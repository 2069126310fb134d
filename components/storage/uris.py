"""URIs: a local path, or ``gs://bucket/name``."""

import os
import re
from pathlib import Path

REMOTE = "gs://"
# Cloud Storage, "Bucket names": a placeholder such as BUCKET, <bucket> or $BUCKET is none.
BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]*")
# Buckets are mounted as folders in here. /gcs is in use: Kubeflow's launcher copies artifacts to it.
MOUNTS, VARIABLE = "/mnt/gcs", "SUANLI_GCS_MOUNTS"


def is_remote(uri: str) -> bool:
    """Whether a URI is in Cloud Storage."""
    return uri.startswith(REMOTE)


def bucket_fault(uri: str) -> str:
    """What is wrong with the name of a URI's bucket, which may be a placeholder still; empty if nothing is."""
    bucket = uri.removeprefix(REMOTE).partition("/")[0]
    if not is_remote(uri) or BUCKET.fullmatch(bucket):
        return ""
    return f"{uri}: {bucket!r} is not a bucket's name (a-z, 0-9, -, _ and .): put in your own"


def join(uri: str, *parts: str) -> str:
    """The URI below another."""
    return "/".join([uri.rstrip("/"), *parts])


def mounted(uri: str) -> str:
    """The local path of a URI in Cloud Storage whose bucket is mounted on this machine; empty if it is not."""
    path = Path(os.environ.get(VARIABLE) or MOUNTS, uri.removeprefix(REMOTE))
    return str(path) if is_remote(uri) and path.exists() else ""
