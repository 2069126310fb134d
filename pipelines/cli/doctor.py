"""``suanli doctor``: whether this machine, and a cluster where one is named, can run experiments."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli import connected, output, preflight
from pipelines.cli.asked import AsJson
from pipelines.cli.connected import Host, KubeContext, Namespace
from pipelines.cluster import doctor as cluster_doctor
from pipelines.compile import targets
from pipelines.compile.check_result import CheckResult
from pipelines.hardware import catalog
from pipelines.local import machine
from pipelines.runs import folder


def doctor(
    target: Annotated[str, typer.Option(metavar="NAME", help="An installation in targets.toml.")] = "",
    host: Host = "",
    namespace: Namespace = "",
    kube_context: KubeContext = "",
    runs: Annotated[Path | None, typer.Option(help="The folder of runs; also SUANLI_RUNS.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check this machine, and the cluster of a target, host or context. Exit 1 where a run would fail."""
    # What was named wrongly is told before anything is looked at.
    root, cluster = folder.root(runs), _cluster(target, host, namespace, kube_context)
    findings = [*machine.findings(root), *cluster]
    if as_json:
        output.as_document([finding._asdict() for finding in findings])
    else:
        preflight.show(findings, sys.stdout)
    raise typer.Exit(int(any(finding.level == "fail" for finding in findings)))


def _cluster(name: str, host: str, namespace: str, kube_context: str) -> list[CheckResult]:
    """The findings about a cluster; none where nothing names one."""
    if not (name or host or namespace or kube_context or connected.elsewhere(os.environ)):
        return []

    target = targets.load(name, Path()) if name else None
    return cluster_doctor.findings(
        connected.connection(host, namespace, target), kube_context, target, catalog.load(Path())
    )
