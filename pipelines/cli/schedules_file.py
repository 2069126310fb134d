"""``suanli schedules check`` and ``apply``: the schedules on the servers, compared with schedules.toml."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import groupby
from typing import Annotated, Any

import typer

from components.core import project
from components.core.errors import StepError
from pipelines.cli import output
from pipelines.cli.options import AsJson, DryRun, grouped
from pipelines.cli.schedule import Prepared, ServerTimezone, checked_server, prepare
from pipelines.cli.server_options import ClusterOptions, ServerOptions
from pipelines.cluster.kubeflow.connection import Connection
from pipelines.cluster.kubeflow.server import Server, connect, require_recent
from pipelines.cluster.scheduling import declared, drift, live
from pipelines.cluster.scheduling.drift import Difference
from pipelines.compile import targets

AS_DECLARED = "all schedules are as declared"


@grouped
def check(options: ServerOptions, server_timezone: ServerTimezone = "UTC", as_json: AsJson = False) -> None:
    """Compare the schedules with schedules.toml and print each difference; exit 1 if there are any."""
    differences = [
        difference for _, _, differences_found in _compare(options, server_timezone) for difference in differences_found
    ]
    if as_json:
        output.print_json([asdict(difference) for difference in differences])
    else:
        print_all(differences or [AS_DECLARED])
    raise typer.Exit(int(bool(differences)))


@grouped
def apply(
    cluster: ClusterOptions,
    prune: Annotated[bool, typer.Option("--prune", help="Delete schedules of suanli that are not declared.")] = False,
    dry_run: DryRun = False,
    server_timezone: ServerTimezone = "UTC",
    as_json: AsJson = False,
) -> None:
    """Make the schedules what schedules.toml declares, with the current code."""
    done: list[dict[str, Any]] = []
    for server, declarations, differences_found in _compare(cluster, server_timezone):
        if not as_json:
            print_all(differences_found)
        for name, group in groupby(differences_found, lambda difference: difference.schedule):
            differences, prepared = list(group), declarations.get(name)
            action, access = "left alone", None
            if not dry_run and (prepared or prune):
                wanted = prepared.wanted if prepared else None
                if prepared and any(difference.kind in ("missing", "content") for difference in differences):
                    _, wanted, access = checked_server(prepared, cluster)
                action = drift.repair(server, differences, wanted, access)
            done.append({"name": name, "done": action, "changes": [asdict(difference) for difference in differences]})
            if not as_json and not dry_run:
                print(f"{name}: {action}{'' if prepared or prune else '; --prune deletes it'}")
    if as_json:
        output.print_json(done)
    elif not done:
        print(AS_DECLARED)


def print_all(lines: Iterable[object]) -> None:
    for line in lines:
        print(line)


def _compare(
    options: ServerOptions, server_timezone: str
) -> Iterator[tuple[Server, dict[str, Prepared], list[Difference]]]:
    """Each server that schedules.toml names, the schedules it should have, and how it differs."""
    tables = declared.load(project.folder())
    servers: dict[str, tuple[Connection, dict[str, Prepared]]] = {}
    for name, declaration in tables.items():
        try:
            connection = options.connection(targets.load(declaration.target, project.folder()))
            compiled = prepare(name, declaration, server_timezone)
        except StepError as error:
            message = f"{declared.FILE}: [{name}] {error.message}"
            raise StepError(message, advice=error.advice, kind=error.kind) from None
        servers.setdefault(f"{connection.address} {connection.namespace}", (connection, {}))[1][name] = compiled
    if not tables:
        # An empty file declares that the server has no schedule of ours.
        servers[""] = (options.connection(), {})
    for connection, prepared in servers.values():
        server = connect(connection)
        require_recent(server)
        wanted = [schedule.wanted for schedule in prepared.values()]
        yield server, prepared, drift.differences(server, wanted, live.every(server))
