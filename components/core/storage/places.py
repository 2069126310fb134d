"""Names of places: a local path, or ``gs://bucket/name``."""

REMOTE = "gs://"


def is_remote(uri: str) -> bool:
    """Whether a place is in Cloud Storage."""
    return uri.startswith(REMOTE)


def join(uri: str, *parts: str) -> str:
    """A place below another."""
    return "/".join([uri.rstrip("/"), *parts])
