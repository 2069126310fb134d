"""How long the server lets names and descriptions be.

It answers 500 to a longer one, and a schedule's Kubernetes object, which is made before its row, then stays and starts
runs. Source: kubeflow/pipelines 2.17.0, backend/src/apiserver: resource_manager.go (CreateJob), client_manager.go
(DefaultStringSize), model/*.go; the figures were measured with a database in strict mode.
"""

from components.core.errors import StepError

# Characters, not bytes.
LIMITS = {
    "the name of a run": 255,
    "the description of a run": 255,
    "the name of a schedule": 255,
    "the description of a schedule": 255,
    "the name of an experiment": 128,
    "the name of a pipeline version": 127,
    # The server has no limit; but it is sent in the request's address, which proxies limit to 8 KB.
    "the description of a pipeline version": 2000,
}


def check(what: str, text: str) -> None:
    """Refuse a text that the server cannot store.

    Args:
        what: a key of ``LIMITS``.

    Raises:
        StepError: it is too long.
    """
    if len(text) > LIMITS[what]:
        raise StepError(
            f"{what} has {len(text)} characters, and the server stores {LIMITS[what]}: {text[:40]}...",
            advice="shorten it",
            kind="settings",
        )
