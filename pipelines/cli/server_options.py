"""The options that lead to a Kubeflow server and its cluster."""

import os
from dataclasses import dataclass
from typing import Annotated

import typer

from components.core import project
from pipelines.cluster.kubeflow.connection import VARIABLES, Connection, from_environment
from pipelines.cluster.kubeflow.server import Server, connect
from pipelines.compile import targets
from pipelines.compile.targets import Target

Host = Annotated[str, typer.Option(metavar="URL", help="The Kubeflow server; also SUANLI_HOST, or the target's host.")]
Namespace = Annotated[
    str, typer.Option("--namespace", "-n", metavar="NAME", help="The namespace of runs; also SUANLI_NAMESPACE.")
]
KubeContext = Annotated[str, typer.Option(metavar="NAME", help="The kubeconfig context used to inspect nodes.")]


@dataclass(frozen=True)
class ServerOptions:
    """A Kubeflow server, for the commands that need no other access to its cluster."""

    host: Host = ""
    namespace: Namespace = ""

    def connection(self, target: Target | None = None) -> Connection:
        """A connection from the options, the environment and the target, in this order. Tokens and cookies come from
        the environment only.

        Raises:
            StepError: an invalid value.
        """
        host, namespace = self.host, self.namespace
        if target:
            host = host or ("" if server_in_environment() else target.host)
            namespace = namespace or os.environ.get("SUANLI_NAMESPACE") or target.namespace
        return from_environment({"host": host or None, "namespace": namespace or None})

    def connect(self, target_name: str) -> Server:
        """The server, checked, with the host of a target if one is named."""
        return connect(self.connection(targets.load(target_name, project.folder()) if target_name else None))


@dataclass(frozen=True)
class ClusterOptions(ServerOptions):
    """A Kubeflow server and its cluster."""

    kube_context: KubeContext = ""


def server_in_environment() -> bool:
    """Whether environment variables name a server: they take precedence over the target."""
    return any(os.environ.get(name) for key in ("host", "in_cluster", "kube_context") for name in VARIABLES[key])
