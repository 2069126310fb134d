"""Whether a cluster is ready for runs: the target's roots, the Kubeflow server, and the Kubernetes API."""

from collections.abc import Iterator

from components.core.errors import StepError
from pipelines.cluster import preflight
from pipelines.cluster.kube import access, doctor_checks
from pipelines.cluster.kube.doctor_checks import Installation
from pipelines.cluster.kube.errors import ContextError
from pipelines.cluster.kubeflow import server
from pipelines.cluster.kubeflow.connection import Connection
from pipelines.cluster.kubeflow.request import Operation, request
from pipelines.cluster.kubeflow.server import OLDEST, Server, connect
from pipelines.compile.check_result import CheckResult
from pipelines.compile.targets import Target
from pipelines.hardware.catalog import Catalog

ROOTS = ("data_root", "checkpoint_root", "registry")


def check(connection: Connection, kube_context: str, target: Target | None, catalog: Catalog) -> list[CheckResult]:
    """Check as much as possible; a failure is a result, too.

    Args:
        connection: to Kubeflow's server.
        kube_context: the kubeconfig's context; empty for its current one.
        target: the installation, if one was named.

    Raises:
        ContextError: the kubeconfig has no context of that name.
    """
    cluster = _cluster(connection, kube_context, target, catalog)
    return [*(_roots(target) if target else ()), *_server(connection), *cluster]


def _roots(target: Target) -> Iterator[CheckResult]:
    warnings = list(preflight.roots(target, *ROOTS))
    yield from warnings
    if not warnings:
        yield CheckResult("ok", "roots", ", ".join(getattr(target, name) for name in ROOTS))


def _server(connection: Connection) -> Iterator[CheckResult]:
    """Whether the Kubeflow server answers, is recent enough, and lists this user's runs."""
    if not (connection.host or connection.in_cluster or connection.kube_context):
        yield CheckResult("warn", "server", "not checked: none was named", "give --host, or the target a host")
        return
    try:
        kubeflow = connect(connection)
    except StepError as error:
        yield _failed("server", error)
        return
    users = f"multi-user, runs in {kubeflow.namespace}" if kubeflow.multi_user else "single-user"
    yield CheckResult("ok", "server", f"{kubeflow.host}, {users}")
    yield _version(kubeflow)
    try:
        operation = Operation("list runs", "list", "runs")
        request(kubeflow.transport, operation, "runs.run_service_list_runs", page_size=1, **kubeflow.scope)
        yield CheckResult("ok", "sign-in", "runs can be listed")
    except StepError as error:
        yield _failed("sign-in", error)


def _version(kubeflow: Server) -> CheckResult:
    oldest = ".".join(map(str, OLDEST))
    try:
        version = server.require_recent(kubeflow)
    except StepError as error:
        return _failed("Kubeflow", error)
    if version is None:
        return CheckResult("warn", "Kubeflow", "the server does not report its version", f"{oldest} or newer is needed")
    return CheckResult("ok", "Kubeflow", version)


def _cluster(connection: Connection, kube_context: str, target: Target | None, catalog: Catalog) -> list[CheckResult]:
    options = (target.service_account, target.queue, target.pipeline_root, target.autopilot) if target else ()
    installation = Installation(connection.namespace, connection.server_namespace, *options)
    try:
        cluster = access.connect(kube_context)
    except ContextError:
        raise
    except StepError as error:
        return [_failed("cluster", error)]
    if cluster is None:
        return [access.not_configured()]
    return doctor_checks.check(cluster, installation, catalog)


def _failed(what: str, error: StepError) -> CheckResult:
    return CheckResult("fail", what, error.message, error.advice)
