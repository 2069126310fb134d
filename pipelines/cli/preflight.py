"""The preflight checks of submit and schedule, on the terminal."""

import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

import typer

from pipelines.cluster.kube import classes
from pipelines.cluster.kubeflow.server import Server
from pipelines.cluster.preflight import Preflight
from pipelines.compile.check_result import CheckResult
from pipelines.hardware.ladder import Rung


def show(results: Iterable[CheckResult], stream: TextIO) -> None:
    """Print check results, one per line."""
    for result in results:
        print(f"{result.level:5} {_line(result)}", file=stream)


def checked_server(checked: Preflight, rungs: Sequence[Rung], needed_class: str, stream: TextIO) -> Server:
    """The server, if no check failed. Creates the compute class that the rungs need, if any.

    Args:
        checked: the results of the checks.
        rungs: the hardware that is submitted to.
        needed_class: the name of the compute class to create; empty for none.
        stream: where warnings are printed.

    Raises:
        Exit: a check failed; each failure has been printed as an error.
    """
    show((result for result in checked.results if result.level == "warn"), stream)
    for result in checked.failures:
        print(f"error: {_line(result)}", file=sys.stderr)
    if checked.failures or not checked.server:
        raise typer.Exit(2)
    if needed_class and checked.cluster:
        classes.ensure(checked.cluster, rungs)
    return checked.server


def _line(result: CheckResult) -> str:
    return f"{result.what}: {result.found}{f'; {result.advice}' if result.advice else ''}"
