"""``suanli schedules``: look at the schedules on a server, change them, and keep them as they are declared."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from components.core.errors import StepError
from pipelines.cli import asked, connected, output, schedule_views, schedules_file
from pipelines.cli import schedule as one
from pipelines.cluster.kubeflow import api
from pipelines.cluster.kubeflow.server import Server, connect
from pipelines.cluster.scheduling import declared, drift, live, schedules
from pipelines.cluster.scheduling.live import Schedule
from pipelines.compile import targets

app = typer.Typer(help="Look at schedules and change them.", no_args_is_help=True)
app.command()(schedules_file.check)
app.command()(schedules_file.apply)

Which = Annotated[str, typer.Argument(metavar="NAME", help="A schedule's name, or its id.")]
Target = Annotated[str, typer.Option("--target", metavar="NAME", help="An installation in targets.toml, for its host.")]


@app.command("list")
def list_(
    target: Target = "",
    host: connected.Host = "",
    namespace: connected.Namespace = "",
    server_timezone: one.ServerTimezone = "UTC",
    as_json: asked.AsJson = False,
) -> None:
    """List the schedules of a namespace, with the next time of each."""
    found = live.every(_server(target, host, namespace))
    if as_json:
        output.as_document([schedule_views.document(schedule, server_timezone) for schedule in found])
        return
    rows: list[tuple[Any, ...]] = [("name", "state", "when", "next", "made from")]
    for schedule in found:
        made = schedule.memo and schedule.memo.declared
        rows.append(
            (
                schedule.name,
                schedule_views.state(schedule),
                schedule.when(server_timezone),
                schedule_views.next_time(schedule, server_timezone),
                f"{made.experiment} on {made.accelerator}" if made else "",
            )
        )
    output.columns(rows)


@app.command()
def show(
    which: Which,
    target: Target = "",
    host: connected.Host = "",
    namespace: connected.Namespace = "",
    server_timezone: one.ServerTimezone = "UTC",
    as_json: asked.AsJson = False,
) -> None:
    """Show a schedule: its times, pipeline version and parameters."""
    server = _server(target, host, namespace)
    schedule = live.find(server, which)
    item = schedule.now
    version = api.find_version(server, item.pipeline_id, item.version_id) if item.version_id else None
    named = version.name if version else "gone from the server" if item.version_id else "always the newest"
    if as_json:
        output.as_document({**schedule_views.document(schedule, server_timezone), "version": named})
        return
    when = schedule.trigger(server_timezone)
    rows: list[tuple[Any, ...]] = [
        ("schedule", f"{schedule.name}: {schedule.when(server_timezone)}"),
        ("id", item.id),
        ("state", schedule_views.state(schedule)),
        *(one.upcoming(when) if when and item.enabled else []),
        ("cron", f"{item.cron} (six fields, as the server has it)")
        if item.cron
        else ("interval", when and when.words()),
        ("overlap", "no overlap" if item.max_concurrency == 1 else f"up to {item.max_concurrency} runs at a time"),
        ("catch-up", "no catch-up of missed times" if item.no_catchup else "missed times are made up for"),
        ("version", named),
        *((f"  {name}", value) for name, value in sorted(item.parameters.items())),
    ]
    if item.error:
        rows.append(("error", item.error))
    output.columns(rows)


@app.command()
def pause(
    which: Which,
    target: Target = "",
    host: connected.Host = "",
    namespace: connected.Namespace = "",
    as_json: asked.AsJson = False,
) -> None:
    """Keep a schedule from starting runs; one under way goes on."""
    schedule = schedules.pause(_server(target, host, namespace), which)
    _done(schedule, f"paused{schedule_views.kept(schedule)}", as_json)


@app.command()
def resume(
    which: Which,
    target: Target = "",
    host: connected.Host = "",
    namespace: connected.Namespace = "",
    as_json: asked.AsJson = False,
) -> None:
    """Let a paused schedule start runs again from its next time on; what it missed is not made up for."""
    schedule = schedules.resume(_server(target, host, namespace), which)
    due = schedule_views.next_time(schedule)
    _done(schedule, f"resumed{f', next {due}' if due else ''}{schedule_views.kept(schedule)}", as_json)


@app.command()
def delete(
    which: Which,
    force: Annotated[bool, typer.Option("--force", help="Also end its run that is under way.")] = False,
    target: Target = "",
    host: connected.Host = "",
    namespace: connected.Namespace = "",
    as_json: asked.AsJson = False,
) -> None:
    """Delete a schedule. The runs that are over stay."""
    _done(schedules.delete(_server(target, host, namespace), which, force=force), "deleted", as_json)


@app.command()
def update(
    which: Which,
    cron: one.Cron = "",
    every: one.Every = "",
    timezone: one.Timezone = "",
    sets: asked.Sets = None,
    accelerator: Annotated[str, typer.Option(metavar="NAME[,NAME]...", help="Other hardware.")] = "",
    spot: Annotated[bool | None, typer.Option("--spot/--on-demand", help="Another capacity.")] = None,
    overlap: one.Overlap = None,
    catch_up: one.CatchUp = None,
    target: Target = "",
    server_timezone: one.ServerTimezone = "",
    host: connected.Host = "",
    namespace: connected.Namespace = "",
    kube_context: connected.KubeContext = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    as_json: asked.AsJson = False,
) -> None:
    """Bring a schedule to the code of today, and to what the options change; the rest stays as it was."""
    server = _server(target, host, namespace)
    schedule = live.find(server, which)
    if not dry_run:
        schedule = schedules.settle(server, schedule)
    if not schedule.memo:
        raise StepError(
            f"{schedule.name} was not made by suanli schedule, so it is not known what to make anew",
            advice=f"suanli schedules delete {which}, then suanli schedule",
            kind="settings",
        )
    changes: dict[str, Any] = {"accelerator": accelerator, "target": target, "spot": spot}
    changes |= {"overlap": overlap, "catch_up": catch_up, "cron": cron, "every": every, "timezone": timezone}
    changes = {key: value for key, value in changes.items() if value not in ("", None)}
    if every:
        changes |= {"cron": cron, "timezone": timezone}
    elif cron:
        changes["every"] = ""
    prepared = _renewed(schedule, changes, sets or [], server_timezone)
    found = drift.differences(server, [prepared.wanted], [schedule])
    if not as_json:
        schedules_file.told(found)
    if found and not dry_run:
        schedule = schedules.update(one.ready(prepared, host, namespace, kube_context), prepared.wanted)
    done = "updated" if found and not dry_run else "would be updated" if found else "up to date"
    _done(
        schedule,
        f"{done}{schedule_views.kept(schedule)}",
        as_json,
        changes=[asdict(difference) for difference in found],
    )


def _done(schedule: Schedule, what: str, as_json: bool, **more: Any) -> None:
    if as_json:
        output.as_document({**schedule_views.document(schedule), "done": what, **more})
    else:
        print(f"{schedule.name}: {what}")


def _renewed(schedule: Schedule, changes: dict[str, Any], sets: list[str], server_timezone: str) -> one.Prepared:
    """What a schedule was made from, with changes, compiled today; enabled or paused as it is."""
    assert schedule.memo
    old = schedule.memo.declared
    values = {**old.model_dump(), **changes, "set": [*old.set, *sets], "paused": not schedule.now.enabled}
    made = declared.checked(schedule.name, values)
    return one.prepare(schedule.name, made, server_timezone or schedule.memo.server_timezone)


def _server(target: str, host: str, namespace: str) -> Server:
    return connect(connected.connection(host, namespace, targets.load(target, Path.cwd()) if target else None))
