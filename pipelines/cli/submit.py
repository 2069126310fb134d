"""``suanli submit``, ``wait`` and ``cancel``: an experiment on a cluster."""

import math
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from components.core.errors import StepError
from pipelines.cli import asked, connected, explain, output, preflight
from pipelines.cli.asked import (
    Accelerator,
    AsJson,
    Asked,
    ComputeClass,
    Experiment,
    Queue,
    Retries,
    Sets,
    SharedMemory,
    Spot,
    TargetName,
    Timeout,
)
from pipelines.cli.connected import Host, KubeContext, Namespace
from pipelines.cli.plan import duration
from pipelines.cluster import session, submitted
from pipelines.cluster.kube import access, classes
from pipelines.cluster.kubeflow import runs as on_cluster
from pipelines.cluster.kubeflow.runs import GivenUpError
from pipelines.cluster.kubeflow.server import connect
from pipelines.cluster.session import Way
from pipelines.compile.targets import Target
from pipelines.hardware.ladder import Rung
from pipelines.runs import folder

GIVE_UP_S = 900.0
Runs = Annotated[Path | None, typer.Option("--runs", help="The folder of runs; also SUANLI_RUNS.")]
GiveUp = Annotated[
    str,
    typer.Option(metavar="TIME", help="Give a step up that cannot be scheduled for so long: 15m, or never in a queue."),
]
NoCluster = Annotated[bool, typer.Option("--no-cluster-checks", help="Do not look at nodes, quota and rights.")]
Deadline = Annotated[str, typer.Option(metavar="TIME", help="Stop waiting after it; the run goes on.")]
Poll = Annotated[float, typer.Option(min=0.05, hidden=True)]
Which = Annotated[str, typer.Argument(metavar="RUN", help="Its id here, Kubeflow's id, or latest.")]


def submit(
    experiment: Experiment,
    accelerator: Accelerator,
    target: TargetName,
    set_: Sets = None,
    spot: Spot = False,
    compute_class: ComputeClass = "",
    queue: Queue = "",
    retries: Retries = None,
    shared_memory: SharedMemory = "",
    timeout: Timeout = 0,
    host: Host = "",
    namespace: Namespace = "",
    kube_context: KubeContext = "",
    no_cluster_checks: NoCluster = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, print the pods, send nothing.")] = False,
    follow: Annotated[
        bool, typer.Option("--wait", help="Follow the run to its end; an interrupt leaves it be.")
    ] = False,
    give_up: GiveUp = "",
    deadline: Deadline = "",
    key: Annotated[str, typer.Option(metavar="TEXT", help="Repeated with it, no second run starts.")] = "",
    runs: Runs = None,
    poll: Poll = 5.0,
    as_json: AsJson = False,
) -> None:
    """Check an experiment against a cluster and run it there."""
    wanted = asked.gathered(
        experiment,
        set_,
        target,
        accelerator,
        spot=spot,
        compute_class=compute_class,
        queue=queue,
        retries=retries,
        shared_memory=shared_memory,
        timeout=timeout,
    )
    way = _way(wanted, host, namespace, kube_context, give_up, deadline, poll, not no_cluster_checks)
    raise typer.Exit(_ladder(wanted, experiment, way, folder.root(runs), key, follow, dry_run, as_json))


def _way(
    wanted: Asked,
    host: str,
    namespace: str,
    kube_context: str,
    give_up: str,
    deadline: str,
    poll: float,
    cluster: bool,
) -> Way:
    return Way(
        connected.connection(host, namespace, wanted.target),
        kube_context,
        _patience(give_up, bool(wanted.variant.queue)),
        duration(deadline) * 3600 if deadline else None,
        poll,
        cluster,
    )


def _patience(give_up: str, queued: bool) -> float:
    """Seconds for a step that cannot be scheduled; waiting in a queue is no fault."""
    if give_up:
        return duration(give_up) * 3600
    return math.inf if queued else GIVE_UP_S


def _ladder(
    wanted: Asked, source: str, way: Way, root: Path, key: str, follow: bool, dry_run: bool, as_json: bool
) -> int:
    """Submit on the first group of rungs; where it is followed and given up, on the next."""
    groups = _groups(wanted, way)
    for number, group in enumerate(groups):
        again = f"{key}-{number}" if key and number else key
        try:
            return _one(wanted, group, source, way, root, again, follow, dry_run, as_json)
        except GivenUpError as error:
            if number + 1 == len(groups):
                raise
            following = ", ".join(map(str, groups[number + 1]))
            print(f"{error.message}; next: {following}", file=sys.stderr)
    return 1


def _groups(wanted: Asked, way: Way) -> list[tuple[Rung, ...]]:
    """The ladder's groups; one rung each where the cluster has no compute classes to choose among several."""
    groups = list(wanted.groups)
    if wanted.compute_class or all(len(group) == 1 for group in groups):
        return groups
    try:
        found = access.access(way.kube_context) if way.cluster else None
        there = found is not None and classes.served(found)
    except StepError:
        there = False  # the preflight says why
    return groups if there else [(rung,) for group in groups for rung in group]


def _one(
    wanted: Asked,
    group: "tuple[Rung, ...]",
    source: str,
    way: Way,
    root: Path,
    key: str,
    follow: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    assert wanted.target  # the option is required
    submission, catalog = wanted.submission(group), asked.catalog()
    lines = session.estimates(wanted.changed, group, root, catalog)
    made = wanted.class_to_make(group)
    found = session.look(submission, wanted.changed, wanted.target, way, lines, made)
    notes = sys.stderr if as_json else sys.stdout
    if dry_run:
        if as_json:
            output.as_document(explain.document(submission) | {"preflight": [one._asdict() for one in found.findings]})
        else:
            explain.show(submission)
            print()
        preflight.show(found.findings, notes)
        return 2 if found.failed else 0
    if not preflight.passed(found, notes) or not found.server:
        return 2
    if made and found.cluster:
        classes.put(found.cluster, group)
    folder, values = session.send(
        submission, wanted.changed, source, wanted.target, found.server, root, lines, catalog, key
    )
    if not follow:
        return _sent(values, as_json)
    values = session.wait(folder, values, found.server, found.cluster, way, submission, catalog, stream=notes)
    return session.tell(values, values["cluster"]["link"] or str(folder.folder), as_json=as_json)


def _sent(values: dict[str, Any], as_json: bool) -> int:
    if as_json:
        output.as_document(values)
        return 0
    cluster = values["cluster"]
    print(f"submitted {values['id']}: Kubeflow's run {cluster['run']}")
    if cluster["link"]:
        print(cluster["link"])
    print(f"to follow it: suanli wait {values['id']}")
    print(f"to stop it:   suanli cancel {values['id']}")
    return 0


def wait(
    run: Which = "latest",
    host: Host = "",
    namespace: Namespace = "",
    kube_context: KubeContext = "",
    give_up: GiveUp = "",
    deadline: Deadline = "",
    runs: Runs = None,
    poll: Poll = 5.0,
    as_json: AsJson = False,
) -> None:
    """Follow a submitted run to its end; an interrupt ends the waiting, never the run."""
    folder, values, connection = _known(run, host, namespace, runs)
    ends = duration(deadline) * 3600 if deadline else None
    way = session.Way(connection, kube_context, _patience(give_up, bool(values["cluster"].get("queue"))), ends, poll)
    notes = sys.stderr if as_json else sys.stdout
    values = session.wait(folder, values, connect(connection), access.access(kube_context), way, stream=notes)
    raise typer.Exit(session.tell(values, values["cluster"]["link"] or str(folder.folder), as_json=as_json))


def cancel(run: Which, host: Host = "", namespace: Namespace = "", runs: Runs = None) -> None:
    """Stop a run on a cluster."""
    folder, values, connection = _known(run, host, namespace, runs)
    on_cluster.cancel(connect(connection), values["cluster"]["run"])
    folder.write({**values, "status": "cancelled"})
    print(f"stopping {folder.id}: Kubeflow's run {values['cluster']['run']}")


def _known(which: str, host: str, namespace: str, runs: Path | None) -> Any:
    """A submitted run, its record, and the way to its server.

    Raises:
        StepError: no run of that name was submitted from here.
    """
    root = folder.root(runs)
    found = submitted.find(root, which)
    if not found:
        raise StepError(f"no run {which!r} was submitted from {root}", advice="see suanli runs list", kind="settings")
    there, values = found
    target = Target(**values["target"]).model_copy(
        update={"host": values["cluster"]["host"], "namespace": values["cluster"]["namespace"]}
    )
    return there, values, connected.connection(host, namespace, target)
