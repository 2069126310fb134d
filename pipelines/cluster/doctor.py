"""Whether a cluster is ready for runs: the target's roots, the Kubeflow server, and the Kubernetes API."""

from collections.abc import Iterator

from components.core.errors import StepError
from pipelines.cluster import preflight
from pipelines.cluster.kube import access, doctor_checks
from pipelines.cluster.kube.doctor_checks import Place
from pipelines.cluster.kube.kubeconfig import ContextError
from pipelines.cluster.kubeflow import server
from pipelines.cluster.kubeflow.connection import Connection
from pipelines.cluster.kubeflow.request import Operation, request
from pipelines.cluster.kubeflow.server import OLDEST, Server, connect
from pipelines.compile.check_result import CheckResult
from pipelines.compile.targets import Target
from pipelines.hardware.catalog import Catalog

ROOTS = ("data_root", "checkpoint_root", "registry")


def findings(connection: Connection, kube_context: str, target: Target | None, catalog: Catalog) -> list[CheckResult]:
    """One line each; what fails is a finding, and what else can be told is told.

    Args:
        connection: to Kubeflow's server.
        kube_context: the kubeconfig's context to look through; empty for its current one.
        target: the installation, if one was named.

    Raises:
        StepError: the kubeconfig has no context of that name.
    """
    cluster = _cluster(connection, kube_context, target, catalog)
    return [*(_roots(target) if target else ()), *_server(connection), *cluster]


def _roots(target: Target) -> Iterator[CheckResult]:
    bad = list(preflight.roots(target, *ROOTS))
    yield from bad
    if not bad:
        yield CheckResult("ok", "roots", ", ".join(getattr(target, name) for name in ROOTS))


def _server(connection: Connection) -> Iterator[CheckResult]:
    """The Kubeflow server: there, recent enough, and willing to list this user's runs."""
    if not (connection.host or connection.in_cluster or connection.kube_context):
        yield CheckResult("warn", "server", "not looked at: none was named", "give --host, or the target a host")
        return
    try:
        there = connect(connection)
    except StepError as error:
        yield _failed("server", error)
        return
    users = f"multi-user, runs in {there.namespace}" if there.multi_user else "single-user"
    yield CheckResult("ok", "server", f"{there.host}, {users}")
    yield _version(there)
    try:
        operation = Operation("list runs", "list", "runs")
        request(there.transport, operation, "runs.run_service_list_runs", page_size=1, **there.scope)
        yield CheckResult("ok", "sign-in", "runs may be listed")
    except StepError as error:
        yield _failed("sign-in", error)


def _version(there: Server) -> CheckResult:
    oldest = ".".join(map(str, OLDEST))
    try:
        said = server.require_recent(there)
    except StepError as error:
        return _failed("Kubeflow", error)
    if said is None:
        return CheckResult("warn", "Kubeflow", "the server does not say its version", f"{oldest} or newer is needed")
    return CheckResult("ok", "Kubeflow", said)


def _cluster(connection: Connection, kube_context: str, target: Target | None, catalog: Catalog) -> list[CheckResult]:
    theirs = (target.service_account, target.queue, target.pipeline_root, target.autopilot) if target else ()
    place = Place(connection.namespace, connection.server_namespace, *theirs)
    try:
        way = access.access(kube_context)
    except ContextError:
        raise
    except StepError as error:
        return [_failed("cluster", error)]
    if way is None:
        return [access.absent()]
    return doctor_checks.findings(way, place, catalog)


def _failed(what: str, error: StepError) -> CheckResult:
    return CheckResult("fail", what, error.message, error.advice)
