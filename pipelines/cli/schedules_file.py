"""``suanli schedules check`` and ``apply``: the schedules on the servers, held against schedules.toml."""

from collections.abc import Iterator
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import typer

from components.core.errors import StepError
from pipelines.cli import asked, connected, output
from pipelines.cli import schedule as one
from pipelines.cluster.kubeflow.connection import Connection
from pipelines.cluster.kubeflow.server import Server, connect, require_recent
from pipelines.cluster.scheduling import declared, drift, live
from pipelines.cluster.scheduling.drift import Difference
from pipelines.compile import targets


def check(
    host: connected.Host = "",
    namespace: connected.Namespace = "",
    server_timezone: one.ServerTimezone = "UTC",
    as_json: asked.AsJson = False,
) -> None:
    """Compare the schedules with schedules.toml, a line for each difference; exit 1 where they differ."""
    found = [
        difference for _, _, differences in _compared(host, namespace, server_timezone) for difference in differences
    ]
    if as_json:
        output.as_document([asdict(difference) for difference in found])
    else:
        told(found)
        if not found:
            print("all schedules are as declared")
    raise typer.Exit(int(bool(found)))


def apply(
    prune: Annotated[bool, typer.Option("--prune", help="Delete ours that are not declared.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    host: connected.Host = "",
    namespace: connected.Namespace = "",
    kube_context: connected.KubeContext = "",
    server_timezone: one.ServerTimezone = "UTC",
    as_json: asked.AsJson = False,
) -> None:
    """Make the schedules what schedules.toml declares, with the code of today."""
    done: list[dict[str, Any]] = []
    for server, wanted, differences in _compared(host, namespace, server_timezone):
        if not as_json:
            told(differences)
        for name, group in groupby(differences, lambda difference: difference.schedule):
            found, declared = list(group), wanted.get(name)
            action = "left alone"
            if not dry_run and (declared or prune):
                if declared and any(difference.kind in ("missing", "content") for difference in found):
                    one.ready(declared, host, namespace, kube_context)
                action = drift.repair(server, found, declared.wanted if declared else None)
            done.append({"name": name, "done": action, "changes": [asdict(difference) for difference in found]})
            if not as_json and not dry_run:
                print(f"{name}: {action}{'' if declared or prune else '; --prune deletes it'}")
    if as_json:
        output.as_document(done)
    elif not done:
        print("all schedules are as declared")


def _compared(
    host: str, namespace: str, server_timezone: str
) -> Iterator[tuple[Server, dict[str, one.Prepared], list[Difference]]]:
    """Each server that schedules.toml leads to, what it should have, and what differs."""
    tables = declared.load(Path.cwd())
    places: dict[str, tuple[Connection, dict[str, one.Prepared]]] = {}
    for name, made in tables.items():
        try:
            connection = connected.connection(host, namespace, targets.load(made.target, Path.cwd()))
            prepared = one.prepare(name, made, server_timezone)
        except StepError as error:
            where = f"{declared.FILE}: [{name}] {error.message}"
            raise StepError(where, advice=error.advice, kind=error.kind) from None
        _, here = places.setdefault(f"{connection.address} {connection.namespace}", (connection, {}))
        here[name] = prepared
    if not tables:
        # Nothing is declared: then none of ours should be there.
        places[""] = (connected.connection(host, namespace), {})
    for connection, here in places.values():
        server = connect(connection)
        require_recent(server)
        wanted = [prepared.wanted for prepared in here.values()]
        yield server, here, drift.differences(server, wanted, live.every(server))


def told(differences: list[Difference]) -> None:
    for difference in differences:
        print(difference)
