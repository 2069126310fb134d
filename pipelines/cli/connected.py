"""The options that lead to a Kubeflow server, the same for every command that talks to one."""

import os
from collections.abc import Mapping
from typing import Annotated

import typer

from pipelines.cluster.kubeflow.connection import VARIABLES, Connection, from_environment
from pipelines.compile.targets import Target

Host = Annotated[str, typer.Option(metavar="URL", help="The Kubeflow server; also SUANLI_HOST, or the target's host.")]
Namespace = Annotated[
    str, typer.Option("--namespace", "-n", metavar="NAME", help="Where runs live; also SUANLI_NAMESPACE.")
]
KubeContext = Annotated[str, typer.Option(metavar="NAME", help="The context of kubeconfig to look at nodes through.")]


def connection(host: str, namespace: str, target: Target | None = None) -> Connection:
    """What the options, the environment and the target say; tokens and cookies come from the environment alone.

    Raises:
        StepError: a value that no connection can have.
    """
    given = {"host": host or None, "namespace": namespace or None}
    if target:
        given["host"] = given["host"] or (None if elsewhere(os.environ) else target.host or None)
        given["namespace"] = given["namespace"] or os.environ.get("SUANLI_NAMESPACE") or target.namespace
    return from_environment(given)


def elsewhere(environ: Mapping[str, str]) -> bool:
    """Whether the environment names a server, which then comes before the target's."""
    return any(environ.get(name) for way in ("host", "in_cluster", "kube_context") for name in VARIABLES[way])
