"""``suanli doctor``: whether this machine, and a cluster if one is named, can run experiments."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli import output, preflight
from pipelines.cli.options import AsJson, Runs, grouped
from pipelines.cli.server_options import ClusterOptions, server_in_environment
from pipelines.cluster import doctor as cluster_doctor
from pipelines.compile import targets
from pipelines.compile.check_result import CheckResult
from pipelines.hardware import catalog
from pipelines.local import machine
from pipelines.runs import folder


@grouped
def doctor(
    cluster: ClusterOptions,
    target: Annotated[str, typer.Option(metavar="NAME", help="An installation in targets.toml.")] = "",
    runs: Runs = None,
    as_json: AsJson = False,
) -> None:
    """Check this machine, and the cluster of a target, host or context. Exit 1 if a run would fail."""
    # Invalid options are reported before anything is checked.
    root, cluster_results = folder.root(runs), _check_cluster(target, cluster)
    results = [*machine.check(root), *cluster_results]
    if as_json:
        output.print_json([result._asdict() for result in results])
    else:
        preflight.show(results, sys.stdout)
    raise typer.Exit(int(any(result.level == "fail" for result in results)))


def _check_cluster(target_name: str, cluster: ClusterOptions) -> list[CheckResult]:
    """The results for a cluster; empty if nothing names one."""
    if not (target_name or any(vars(cluster).values()) or server_in_environment()):
        return []
    target = targets.load(target_name, Path()) if target_name else None
    connection = cluster.connection(target)
    return cluster_doctor.check(connection, cluster.kube_context, target, catalog.load(Path()))
