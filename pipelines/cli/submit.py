"""``suanli submit``, ``wait`` and ``cancel``: an experiment on a cluster."""

import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from components.core import project
from components.core.errors import StepError
from pipelines.cli import explain, output, preflight
from pipelines.cli.options import AsJson, Runs, grouped, hours
from pipelines.cli.server_options import ClusterOptions, ServerOptions
from pipelines.cli.submission_options import Resolved, SubmissionOptions
from pipelines.cluster import session, submitted
from pipelines.cluster.kube import access, classes
from pipelines.cluster.kubeflow import runs as cluster_runs
from pipelines.cluster.kubeflow.connection import Connection
from pipelines.cluster.kubeflow.runs import GivenUpError
from pipelines.cluster.kubeflow.server import connect
from pipelines.cluster.preflight import Preflight, estimate_rungs, run_preflight
from pipelines.cluster.session import FollowOptions
from pipelines.compile.submission import Submission
from pipelines.compile.targets import Target
from pipelines.hardware import catalog
from pipelines.hardware.ladder import Rung
from pipelines.runs import folder
from pipelines.runs.folder import Run

GIVE_UP_S = 900.0
RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id, Kubeflow's id, or latest.")]
GiveUp = Annotated[
    str,
    typer.Option(
        metavar="TIME", help="Stop the run if a step stays unscheduled this long; default 15m, never in a queue."
    ),
]
Deadline = Annotated[str, typer.Option(metavar="TIME", help="Stop waiting after this time; the run continues.")]
Poll = Annotated[float, typer.Option(min=0.05, hidden=True)]


@dataclass(frozen=True)
class WaitOptions:
    """How long a run is followed, and how often its state is read."""

    give_up: GiveUp = ""
    deadline: Deadline = ""
    poll: Poll = 5.0

    def resolve(self, *, queued: bool) -> FollowOptions:
        """In seconds; a step that waits in a queue is not given up by default."""
        give_up = math.inf if queued else GIVE_UP_S
        return FollowOptions(
            hours(self.give_up) * 3600 if self.give_up else give_up,
            hours(self.deadline) * 3600 if self.deadline else None,
            self.poll,
        )


@grouped
def submit(
    options: SubmissionOptions,
    cluster: ClusterOptions,
    waiting: WaitOptions,
    no_cluster_checks: Annotated[
        bool, typer.Option("--no-cluster-checks", help="Do not check nodes, quota and permissions.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, print the pods, send nothing.")] = False,
    follow: Annotated[
        bool, typer.Option("--wait", help="Follow the run to its end; an interrupt does not stop the run.")
    ] = False,
    key: Annotated[
        str, typer.Option(metavar="TEXT", help="Submitting again with the same key starts no second run.")
    ] = "",
    runs: Runs = None,
    as_json: AsJson = False,
) -> None:
    """Check an experiment against a cluster and run it there."""
    resolved = options.resolve()
    follow_options = waiting.resolve(queued=bool(resolved.variant.queue))
    connection = cluster.connection(resolved.target)
    root, rows = folder.root(runs), catalog.load(project.folder())
    notes = sys.stderr if as_json else sys.stdout
    assert resolved.target  # the option is required
    groups = _groups(resolved, cluster.kube_context, check_cluster=not no_cluster_checks)
    for number, group in enumerate(groups):
        submission, needed_class = resolved.submission(group), resolved.needed_class(group)
        estimates = estimate_rungs(resolved.experiment, group, root, rows)
        checked = run_preflight(
            submission,
            resolved.experiment,
            resolved.target,
            estimates,
            connection,
            kube_context=cluster.kube_context,
            check_cluster=not no_cluster_checks,
            needed_class=needed_class,
        )
        submission = submission.pinned(checked.digests)
        if dry_run:
            _print_pods(submission, checked, as_json)
            raise typer.Exit(2 if checked.failures else 0)
        server = preflight.checked_server(checked, group, needed_class, notes)
        again = f"{key}-{number}" if key and number else key
        run, values = session.send(
            submission, resolved.experiment, options.experiment, resolved.target, server, root, estimates, rows, again
        )
        if not follow:
            _print_submitted(values, as_json)
            return
        try:
            values = session.wait(run, values, server, checked.cluster, follow_options, submission, rows, stream=notes)
            raise typer.Exit(_conclude(run, values, as_json))
        except GivenUpError as error:
            if number + 1 == len(groups):
                raise
            print(f"{error.message}; next: {', '.join(map(str, groups[number + 1]))}", file=sys.stderr)


def _groups(resolved: Resolved, kube_context: str, *, check_cluster: bool) -> list[tuple[Rung, ...]]:
    """The ladder's groups; one rung each if the cluster has no compute classes to choose among several."""
    groups = list(resolved.groups)
    if resolved.compute_class or all(len(group) == 1 for group in groups):
        return groups
    try:
        kube = access.connect(kube_context) if check_cluster else None
        served = kube is not None and classes.served(kube)
    except StepError:
        served = False  # the preflight reports it
    return groups if served else [(rung,) for group in groups for rung in group]


def _print_pods(submission: Submission, checked: Preflight, as_json: bool) -> None:
    if as_json:
        results = [result._asdict() for result in checked.results]
        output.print_json(explain.document(submission) | {"preflight": results})
    else:
        explain.show(submission)
        print()
    preflight.show(checked.results, sys.stderr if as_json else sys.stdout)


def _print_submitted(values: dict[str, Any], as_json: bool) -> None:
    if as_json:
        output.print_json(values)
        return
    cluster = values["cluster"]
    print(f"submitted {values['id']} as Kubeflow run {cluster['run']}")
    if cluster["link"]:
        print(cluster["link"])
    print(f"to follow it: suanli wait {values['id']}")
    print(f"to stop it:   suanli cancel {values['id']}")


def _conclude(run: Run, values: dict[str, Any], as_json: bool) -> int:
    """Print how a run ended, and return the command's exit status."""
    return session.report(values, values["cluster"]["link"] or str(run.folder), as_json=as_json)


@grouped
def wait(
    cluster: ClusterOptions,
    waiting: WaitOptions,
    which: RunId = "latest",
    runs: Runs = None,
    as_json: AsJson = False,
) -> None:
    """Follow a submitted run to its end. An interrupt ends the waiting, not the run."""
    run, values, connection = _find(which, cluster, runs)
    follow_options = waiting.resolve(queued=bool(values["cluster"].get("queue")))
    notes = sys.stderr if as_json else sys.stdout
    kube = access.connect(cluster.kube_context)
    values = session.wait(run, values, connect(connection), kube, follow_options, stream=notes)
    raise typer.Exit(_conclude(run, values, as_json))


@grouped
def cancel(server: ServerOptions, which: RunId, runs: Runs = None) -> None:
    """Stop a run on a cluster."""
    run, values, connection = _find(which, server, runs)
    cluster_runs.cancel(connect(connection), values["cluster"]["run"])
    run.write({**values, "status": "cancelled"})
    print(f"stopping {run.id}, Kubeflow run {values['cluster']['run']}")


def _find(which: str, server: ServerOptions, runs: Path | None) -> tuple[Run, dict[str, Any], Connection]:
    """A submitted run, its record, and the connection to its server.

    Raises:
        StepError: no such run was submitted from here.
    """
    root = folder.root(runs)
    match = submitted.find(root, which)
    if not match:
        raise StepError(f"no run {which!r} was submitted from {root}", advice="see suanli runs list", kind="settings")
    run, values = match
    cluster = values["cluster"]
    target = Target(**values["target"]).model_copy(update={"host": cluster["host"], "namespace": cluster["namespace"]})
    return run, values, server.connection(target)
