"""``suanli schedule``: an experiment that runs again and again on a cluster, each time on new data."""

import sys
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import typer

from components.core.errors import StepError
from pipelines.cli import asked, connected, output, preflight
from pipelines.cluster import arguments, session
from pipelines.cluster.kube import classes
from pipelines.cluster.kubeflow.server import Server
from pipelines.cluster.scheduling import declared, schedules
from pipelines.cluster.scheduling.declared import Declared
from pipelines.cluster.scheduling.schedules import Wanted
from pipelines.cluster.scheduling.trigger import Trigger
from pipelines.compile.submission import Submission
from pipelines.runs import folder

# What has no value of its own is not given: then an update keeps what there is, and a new schedule takes the default.
Cron = Annotated[str, typer.Option("--cron", metavar='"M H DOM MON DOW"', help='Five fields, such as "0 3 * * *".')]
Every = Annotated[str, typer.Option("--every", metavar="INTERVAL", help="Instead of a cron: 30m, 6h, 7d.")]
Timezone = Annotated[str, typer.Option("--timezone", metavar="ZONE", help="The cron's; by default the server's.")]
ServerTimezone = Annotated[
    str,
    typer.Option(
        "--server-timezone",
        metavar="ZONE",
        envvar="SUANLI_SERVER_TIMEZONE",
        help="The zone that the server reads cron in, its CRON_SCHEDULE_TIMEZONE.",
    ),
]
Overlap = Annotated[
    int | None, typer.Option(min=1, max=10, help="How many of its runs may be under way; 1 if left out.")
]
CatchUp = Annotated[
    bool | None, typer.Option("--catch-up/--no-catch-up", help="Make up for missed times; no if left out.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done; no server is asked.")]
NEXT = 5


@dataclass(frozen=True)
class Prepared:
    """A schedule, compiled.

    Attributes:
        found: the experiment and its hardware.
        submission: what they become.
        wanted: what is handed to the server.
    """

    found: asked.Asked
    submission: Submission
    wanted: Wanted


def schedule(
    experiment: asked.Experiment,
    accelerator: asked.Accelerator,
    target: asked.TargetName,
    cron: Cron = "",
    every: Every = "",
    timezone: Timezone = "",
    name: Annotated[str, typer.Option(metavar="NAME", help="The schedule's; by default the experiment's.")] = "",
    sets: asked.Sets = None,
    spot: asked.Spot = False,
    compute_class: asked.ComputeClass = "",
    queue: asked.Queue = "",
    retries: asked.Retries = None,
    shared_memory: asked.SharedMemory = "",
    timeout: asked.Timeout = 0,
    overlap: Overlap = None,
    catch_up: CatchUp = None,
    paused: Annotated[bool, typer.Option("--paused", help="Create it paused.")] = False,
    server_timezone: ServerTimezone = "UTC",
    host: connected.Host = "",
    namespace: connected.Namespace = "",
    kube_context: connected.KubeContext = "",
    dry_run: DryRun = False,
    as_json: asked.AsJson = False,
) -> None:
    """Run an experiment on a cluster again and again, at the times of a cron or every so many hours."""
    made = declared.checked(
        "the schedule",
        {
            "experiment": experiment,
            "accelerator": accelerator,
            "target": target,
            "cron": cron,
            "every": every,
            "timezone": timezone,
            "set": sets or [],
            "spot": spot,
            "compute_class": compute_class,
            "queue": queue,
            "retries": retries,
            "shared_memory": shared_memory,
            "timeout": timeout,
            "overlap": overlap or 1,
            "catch_up": bool(catch_up),
            "paused": paused,
        },
    )
    prepared = prepare(name, made, server_timezone)
    if dry_run:
        tell(prepared, "", as_json)
        return
    created = schedules.create(ready(prepared, host, namespace, kube_context), prepared.wanted)
    tell(prepared, created.now.id, as_json)


def prepare(name: str, made: Declared, server_timezone: str) -> Prepared:
    """Compile a schedule.

    Args:
        name: the schedule's; empty for the experiment's.
        made: what it is.
        server_timezone: the zone that the server reads cron in.

    Raises:
        StepError: the first thing wrong with it.
    """
    when = made.trigger(server_timezone)
    options = made.model_dump(include={"spot", "compute_class", "queue", "retries", "shared_memory", "timeout"})
    found = asked.gathered(made.experiment, made.set, made.target, made.accelerator, fresh=True, **options)
    if len(found.groups) > 1:
        raise StepError(
            f"--accelerator {made.accelerator}: a schedule's runs are started by the server, which tries no second pod",
            advice="give rows that one compute class can hold, or one row",
            kind="settings",
        )
    if not found.target:
        raise StepError("a schedule needs a target", advice="see targets.toml", kind="settings")
    submission = found.submission(found.groups[0])
    # Prepare looks at its data at each run: their state on the day of the schedule's creation says nothing.
    parameters = {**submission.parameters, "freshness": ""}
    arguments.check(submission.text, parameters)
    wanted = schedules.Wanted(
        name=declared.name(name or found.named.name.lower().replace("_", "-")),
        experiment=submission.experiment,
        trigger=when,
        pipeline=submission.pipeline,
        text=submission.text,
        digest=submission.digest,
        parameters=parameters,
        memo=declared.Memo(declared=made, server_timezone=server_timezone),
        service_account=found.target.service_account,
        pipeline_root=found.target.pipeline_root,
    )
    return Prepared(found, submission, wanted)


def ready(prepared: Prepared, host: str, namespace: str, kube_context: str) -> Server:
    """The server, once the whole preflight has found nothing that would fail there.

    Raises:
        Exit: something would; each such thing has been printed as a line.
    """
    found, submission = prepared.found, prepared.submission
    assert found.target
    way = session.Way(connected.connection(host, namespace, found.target), kube_context)
    lines = session.estimates(found.changed, submission.rungs, folder.root(None), asked.catalog())
    made = found.class_to_make(submission.rungs)
    look = session.look(submission, found.changed, found.target, way, lines, made)
    if not preflight.passed(look, sys.stderr) or not look.server:
        raise typer.Exit(2)
    if made and look.cluster:
        classes.put(look.cluster, submission.rungs)
    return look.server


def tell(prepared: Prepared, created: str, as_json: bool) -> None:
    """Print what a schedule does, and when."""
    wanted, made = prepared.wanted, prepared.wanted.memo.declared
    if as_json:
        output.as_document(document(wanted, created))
        return
    state = "enabled" if wanted.enabled else "paused"
    rows: list[tuple[Any, ...]] = [
        ("schedule", f"{wanted.name}: {made.experiment} on {made.accelerator}, {wanted.trigger.words()}"),
        *upcoming(wanted.trigger),
    ]
    if wanted.trigger.cron:
        rows.append(("cron", f"{made.cron}, to the server {wanted.trigger.six} ({wanted.trigger.server_timezone})"))
    rows += [
        ("overlap", "no overlap" if made.overlap == 1 else f"up to {made.overlap} runs at a time"),
        ("catch-up", "missed times are made up for" if made.catch_up else "no catch-up of missed times"),
        ("runs", f"{wanted.version} on new data each time; newer code only after suanli schedules update"),
        ("created", f"{created}, {state}") if created else ("dry run", f"nothing was created; it would be {state}"),
    ]
    output.columns(rows)


def upcoming(trigger: Trigger) -> list[tuple[str, str]]:
    """Rows with the next times."""
    if not trigger.cron:
        return [("next", "the first run comes that long after the schedule is created or resumed")]
    due = trigger.next_times(NEXT)
    return [("next" if number == 0 else "", moment(when, trigger)) for number, when in enumerate(due)]


def moment(when: "datetime", trigger: Trigger) -> str:
    """A time on a trigger's clock, with the name of its zone: abbreviations such as CST mean several."""
    return f"{when:%a %Y-%m-%d %H:%M} {trigger.timezone}"


def document(wanted: Wanted, created: str) -> dict[str, Any]:
    """A new schedule for programs."""
    return {
        "name": wanted.name,
        "id": created or None,
        "enabled": wanted.enabled,
        "words": wanted.trigger.words(),
        "cron": wanted.memo.declared.cron or None,
        "server_cron": wanted.trigger.six,
        "timezone": wanted.trigger.timezone if wanted.trigger.cron else None,
        "interval_seconds": wanted.trigger.interval_s,
        "next": [when.isoformat() for when in wanted.trigger.next_times(NEXT)],
        "overlap": wanted.memo.declared.overlap,
        "catch_up": wanted.memo.declared.catch_up,
        "pipeline": wanted.pipeline,
        "version": wanted.version,
        "parameters": wanted.parameters,
    }
