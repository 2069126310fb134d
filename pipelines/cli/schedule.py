"""``suanli schedule``: an experiment that runs repeatedly on a cluster, each time on new data."""

import sys
from dataclasses import asdict, dataclass, fields, replace
from typing import Annotated

import typer

from components.core import project
from components.core.errors import StepError
from pipelines.cli import output, preflight, schedule_output
from pipelines.cli.options import AsJson, grouped
from pipelines.cli.server_options import ClusterOptions
from pipelines.cli.submission_options import Resolved, SubmissionOptions
from pipelines.cluster import arguments
from pipelines.cluster.kube.access import Access
from pipelines.cluster.kubeflow.server import Server
from pipelines.cluster.preflight import estimate_rungs, run_preflight
from pipelines.cluster.scheduling import declared, schedules
from pipelines.cluster.scheduling.declared import Declared
from pipelines.cluster.scheduling.schedules import Wanted
from pipelines.compile.submission import Submission, pin_images
from pipelines.hardware import catalog
from pipelines.runs import folder

# Options without a value are not given: an update keeps what there is, and a new schedule takes the default.
Cron = Annotated[str, typer.Option("--cron", metavar='"M H DOM MON DOW"', help='Five fields, such as "0 3 * * *".')]
Every = Annotated[str, typer.Option("--every", metavar="INTERVAL", help="Instead of a cron: 30m, 6h, 7d.")]
Timezone = Annotated[
    str, typer.Option("--timezone", metavar="ZONE", help="Time zone of the cron; default the server's.")
]
Overlap = Annotated[
    int | None, typer.Option(min=1, max=10, help="How many of its runs may be active; 1 for a new schedule.")
]
CatchUp = Annotated[
    bool | None, typer.Option("--catch-up/--no-catch-up", help="Also run for missed times; off for a new schedule.")
]
ServerTimezone = Annotated[
    str,
    typer.Option(
        "--server-timezone",
        metavar="ZONE",
        envvar="SUANLI_SERVER_TIMEZONE",
        help="The time zone in which the server reads cron, its CRON_SCHEDULE_TIMEZONE.",
    ),
]


@dataclass(frozen=True)
class RecurrenceOptions:
    """When a schedule runs."""

    cron: Cron = ""
    every: Every = ""
    timezone: Timezone = ""
    overlap: Overlap = None
    catch_up: CatchUp = None


@dataclass(frozen=True)
class Prepared:
    """A compiled schedule.

    Attributes:
        resolved: the experiment and its hardware.
        submission: what they compile to.
        wanted: what is sent to the server.
    """

    resolved: Resolved
    submission: Submission
    wanted: Wanted


@grouped
def schedule(
    options: SubmissionOptions,
    recurrence: RecurrenceOptions,
    cluster: ClusterOptions,
    name: Annotated[str, typer.Option(metavar="NAME", help="Its name; by default the experiment's.")] = "",
    paused: Annotated[bool, typer.Option("--paused", help="Create it paused.")] = False,
    server_timezone: ServerTimezone = "UTC",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be done; ask no server.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run an experiment on a cluster repeatedly: at the times of a cron, or at an interval."""
    values = {**asdict(options), **asdict(recurrence), "paused": paused}
    values["set"] = values.pop("sets")
    given = {key: value for key, value in values.items() if value is not None}
    prepared = prepare(name, declared.validate("the schedule", given), server_timezone)
    created_id = "" if dry_run else schedules.create(*checked_server(prepared, cluster)).now.id
    if as_json:
        output.print_json(schedule_output.new_document(prepared.wanted, created_id))
    else:
        output.print_table(schedule_output.new_rows(prepared.wanted, created_id))


def prepare(name: str, declaration: Declared, server_timezone: str) -> Prepared:
    """Compile a schedule.

    Args:
        name: its name; empty for the experiment's.
        declaration: what it is.
        server_timezone: the time zone in which the server reads cron.

    Raises:
        StepError: the first thing wrong with it.
    """
    trigger = declaration.trigger(server_timezone)
    names = [field.name for field in fields(SubmissionOptions) if field.name != "sets"]
    shared = {name: getattr(declaration, name) for name in names}
    resolved = SubmissionOptions(**shared, sets=declaration.set).resolve(fresh=True)
    if len(resolved.groups) > 1:
        message = "the server starts the runs of a schedule and does not try a second pod"
        advice = "give one row, or rows that fit into one compute class"
        raise StepError(f"--accelerator {declaration.accelerator}: {message}", advice=advice, kind="settings")
    assert resolved.target  # a declared schedule has one
    submission = resolved.submission(resolved.groups[0])
    # Each run reads the state of its data anew; their state when the schedule is created does not matter.
    parameters = {**submission.parameters, "freshness": ""}
    arguments.check(submission.text, parameters)
    wanted = Wanted(
        name=declared.check_name(name or resolved.original.name.lower().replace("_", "-")),
        experiment=submission.experiment,
        trigger=trigger,
        pipeline=submission.pipeline,
        text=submission.text,
        digest=submission.digest,
        parameters=parameters,
        memo=declared.Memo(declared=declaration, server_timezone=server_timezone),
        service_account=resolved.target.service_account,
        pipeline_root=resolved.target.pipeline_root,
    )
    return Prepared(resolved, submission, wanted)


def checked_server(prepared: Prepared, cluster: ClusterOptions) -> tuple[Server, Wanted, Access | None]:
    """The server, if the whole preflight passes, what to send, with the digests of its images, and the server's
    cluster, if it can be reached.

    Raises:
        Exit: a check failed; each failure has been printed as an error.
    """
    resolved, submission = prepared.resolved, prepared.submission
    assert resolved.target  # a declared schedule has one
    rows, root = catalog.load(project.folder()), folder.root(None)
    estimates = estimate_rungs(resolved.experiment, submission.rungs, root, rows)
    needed_class = resolved.needed_class(submission.rungs)
    checked = run_preflight(
        submission,
        resolved.experiment,
        resolved.target,
        estimates,
        cluster.connection(resolved.target),
        kube_context=cluster.kube_context,
        needed_class=needed_class,
    )
    server = preflight.checked_server(checked, submission.rungs, needed_class, sys.stderr)
    pinned = pin_images(prepared.wanted.parameters, checked.digests)
    return server, replace(prepared.wanted, parameters=pinned), checked.cluster
