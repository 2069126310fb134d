"""``suanli schedules``: list, show and change the schedules on a server, and keep them as schedules.toml has them."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from components.core.errors import StepError
from pipelines.cli import output, schedule_output, schedules_file
from pipelines.cli.options import AsJson, DryRun, Sets, grouped
from pipelines.cli.schedule import Prepared, RecurrenceOptions, ServerTimezone, checked_server, prepare
from pipelines.cli.server_options import ClusterOptions, ServerOptions
from pipelines.cluster.kubeflow import api
from pipelines.cluster.scheduling import declared, drift, live, schedules
from pipelines.cluster.scheduling.live import Schedule

app = typer.Typer(help="List, show, change and delete schedules.", no_args_is_help=True)
app.command()(schedules_file.check)
app.command()(schedules_file.apply)

Which = Annotated[str, typer.Argument(metavar="NAME", help="A schedule's name, or its id.")]
Target = Annotated[str, typer.Option("--target", metavar="NAME", help="An installation in targets.toml, for its host.")]


@app.command("list")
@grouped
def list_(
    options: ServerOptions, target: Target = "", server_timezone: ServerTimezone = "UTC", as_json: AsJson = False
) -> None:
    """List the schedules of a namespace with their next times."""
    existing = live.every(options.connect(target))
    if as_json:
        output.print_json([schedule_output.live_document(schedule, server_timezone) for schedule in existing])
        return
    rows = [("name", "state", "when", "next", "made from")]
    for schedule in existing:
        declaration = schedule.memo and schedule.memo.declared
        rows.append(
            (
                schedule.name,
                schedule_output.state(schedule),
                schedule.when(server_timezone),
                schedule_output.next_time(schedule, server_timezone),
                f"{declaration.experiment} on {declaration.accelerator}" if declaration else "",
            )
        )
    output.print_table(rows)


@app.command()
@grouped
def show(
    options: ServerOptions,
    which: Which,
    target: Target = "",
    server_timezone: ServerTimezone = "UTC",
    as_json: AsJson = False,
) -> None:
    """Show a schedule: its times, pipeline version and parameters."""
    server = options.connect(target)
    schedule = live.find(server, which)
    item = schedule.now
    used = api.find_version(server, item.pipeline_id, item.version_id) if item.version_id else None
    version = used.name if used else "gone from the server" if item.version_id else "always the newest"
    if as_json:
        output.print_json({**schedule_output.live_document(schedule, server_timezone), "version": version})
    else:
        output.print_table(schedule_output.live_rows(schedule, version, server_timezone))


@app.command()
@grouped
def pause(options: ServerOptions, which: Which, target: Target = "", as_json: AsJson = False) -> None:
    """Stop a schedule from starting runs; an active run continues."""
    schedule = schedules.pause(options.connect(target), which)
    _print_done(schedule, f"paused{schedule_output.left_over(schedule)}", as_json)


@app.command()
@grouped
def resume(options: ServerOptions, which: Which, target: Target = "", as_json: AsJson = False) -> None:
    """Let a paused schedule start runs again, from its next time on; missed times are not made up for."""
    schedule = schedules.resume(options.connect(target), which)
    time = schedule_output.next_time(schedule)
    _print_done(schedule, f"resumed{f', next {time}' if time else ''}{schedule_output.left_over(schedule)}", as_json)


@app.command()
@grouped
def delete(
    options: ServerOptions,
    which: Which,
    force: Annotated[bool, typer.Option("--force", help="Also stop its active run.")] = False,
    target: Target = "",
    as_json: AsJson = False,
) -> None:
    """Delete a schedule. Its finished runs remain."""
    _print_done(schedules.delete(options.connect(target), which, force=force), "deleted", as_json)


@app.command()
@grouped
def update(
    cluster: ClusterOptions,
    recurrence: RecurrenceOptions,
    which: Which,
    sets: Sets = None,
    accelerator: Annotated[str, typer.Option(metavar="NAME[,NAME]...", help="Change the hardware.")] = "",
    spot: Annotated[bool | None, typer.Option("--spot/--on-demand", help="Change the capacity.")] = None,
    target: Target = "",
    server_timezone: ServerTimezone = "",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Update a schedule to the current code and the given options; everything else stays as it was."""
    server = cluster.connect(target)
    schedule = live.find(server, which)
    if not dry_run:
        schedule = schedules.settle(server, schedule)
    given = {**asdict(recurrence), "accelerator": accelerator, "target": target, "spot": spot}
    changes = {key: value for key, value in given.items() if value not in ("", None)}
    if recurrence.every:
        changes |= {"cron": recurrence.cron, "timezone": recurrence.timezone}
    elif recurrence.cron:
        changes["every"] = ""
    prepared = _prepare_again(schedule, changes, sets or [], server_timezone)
    differences = drift.differences(server, [prepared.wanted], [schedule])
    if not as_json:
        schedules_file.print_all(differences)
    if differences and not dry_run:
        schedule = schedules.update(*checked_server(prepared, cluster))
    done = "updated" if differences and not dry_run else "would be updated" if differences else "up to date"
    done += schedule_output.left_over(schedule)
    _print_done(schedule, done, as_json, changes=[asdict(difference) for difference in differences])


def _prepare_again(schedule: Schedule, changes: dict[str, Any], sets: list[str], server_timezone: str) -> Prepared:
    """A schedule compiled again from what it was made from, with changes; enabled or paused as it is.

    Raises:
        StepError: it was not made by ``suanli schedule``.
    """
    if not schedule.memo:
        raise StepError(
            f"{schedule.name} was not made by suanli schedule, so its options are unknown",
            advice=f"suanli schedules delete {schedule.name}, then suanli schedule",
            kind="settings",
        )
    old = schedule.memo.declared
    values = {**old.model_dump(), **changes, "set": [*old.set, *sets], "paused": not schedule.now.enabled}
    declaration = declared.validate(schedule.name, values)
    return prepare(schedule.name, declaration, server_timezone or schedule.memo.server_timezone)


def _print_done(schedule: Schedule, done: str, as_json: bool, **more: Any) -> None:
    if as_json:
        output.print_json({**schedule_output.live_document(schedule), "done": done, **more})
    else:
        print(f"{schedule.name}: {done}")
