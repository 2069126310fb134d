"""Whether a cluster is ready for runs: the target's roots, the Kubeflow server, and the Kubernetes API."""

from collections.abc import Iterator
from contextlib import suppress

from components.core.errors import StepError
from pipelines.cluster import preflight
from pipelines.cluster.kube import access, doctor_checks, schedule_objects
from pipelines.cluster.kube.access import Access
from pipelines.cluster.kube.doctor_checks import Installation
from pipelines.cluster.kube.errors import ContextError
from pipelines.cluster.kubeflow import api, server
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
    try:
        cluster = access.connect(kube_context)
        of_cluster = _cluster(cluster, connection, target, catalog)
    except ContextError:
        raise
    except StepError as error:
        cluster, of_cluster = None, [_failed("cluster", error)]
    kubeflow, of_server = _server(connection)
    return [*(_roots(target) if target else ()), *of_server, *of_cluster, *_left_schedules(kubeflow, cluster)]


def _roots(target: Target) -> Iterator[CheckResult]:
    warnings = list(preflight.roots(target, *ROOTS))
    yield from warnings
    if not warnings:
        yield CheckResult("ok", "roots", ", ".join(getattr(target, name) for name in ROOTS))
    yield from preflight.buckets(target, write=True)


def _server(connection: Connection) -> tuple[Server | None, list[CheckResult]]:
    """Whether the Kubeflow server answers, is recent enough, and lists this user's runs."""
    if not (connection.host or connection.in_cluster or connection.kube_context):
        return None, [CheckResult("warn", "server", "not checked: none was named", "give --host, or the target a host")]
    try:
        kubeflow = connect(connection)
    except StepError as error:
        return None, [_failed("server", error)]
    users = f"multi-user, runs in {kubeflow.namespace}" if kubeflow.multi_user else "single-user"
    results = [CheckResult("ok", "server", f"{kubeflow.host}, {users}"), _version(kubeflow)]
    try:
        operation = Operation("list runs", "list", "runs")
        request(kubeflow.transport, operation, "runs.run_service_list_runs", page_size=1, **kubeflow.scope)
        results.append(CheckResult("ok", "sign-in", "runs can be listed"))
    except StepError as error:
        results.append(_failed("sign-in", error))
    return kubeflow, results


def _version(kubeflow: Server) -> CheckResult:
    oldest = ".".join(map(str, OLDEST))
    try:
        version = server.require_recent(kubeflow)
    except StepError as error:
        return _failed("Kubeflow", error)
    if version is None:
        return CheckResult("warn", "Kubeflow", "the server does not report its version", f"{oldest} or newer is needed")
    return CheckResult("ok", "Kubeflow", version)


def _cluster(
    cluster: Access | None, connection: Connection, target: Target | None, catalog: Catalog
) -> list[CheckResult]:
    options = (target.service_account, target.queue, target.pipeline_root, target.autopilot) if target else ()
    installation = Installation(connection.namespace, connection.server_namespace, *options)
    return doctor_checks.check(cluster, installation, catalog) if cluster else [access.not_configured()]


def _left_schedules(kubeflow: Server | None, cluster: Access | None) -> Iterator[CheckResult]:
    """Schedules that start runs and that the server does not list; nothing if one of the two cannot be asked."""
    if not (kubeflow and cluster):
        return
    with suppress(StepError):
        objects = schedule_objects.objects(cluster, kubeflow.namespace)
        # Asked of the server afterwards: what is made in between is in both lists or in this one only.
        known = {item.id for item in api.list_recurring_runs(kubeflow)} if objects else ()
        for name in schedule_objects.orphans(objects, known):
            advice = schedule_objects.removal([name], kubeflow.namespace)
            yield CheckResult("warn", f"schedule object {name}", "starts runs, and no command shows it", advice)


def _failed(what: str, error: StepError) -> CheckResult:
    return CheckResult("fail", what, error.message, error.advice)
