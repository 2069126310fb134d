"""Schedules as text and as JSON: one that is being created, and those on a server."""

from datetime import datetime
from typing import Any

from pipelines.cluster.scheduling.live import Schedule
from pipelines.cluster.scheduling.schedules import Wanted
from pipelines.cluster.scheduling.trigger import Trigger

# How many of the next times are listed.
NEXT = 5


def new_rows(wanted: Wanted, created_id: str) -> list[tuple[str, str]]:
    """A new schedule as rows of a table; the id is empty in a dry run."""
    declared, trigger = wanted.memo.declared, wanted.trigger
    state = "enabled" if wanted.enabled else "paused"
    rows = [
        ("schedule", f"{wanted.name}: {declared.experiment} on {declared.accelerator}, {trigger.words()}"),
        *next_rows(trigger),
    ]
    if trigger.cron:
        rows.append(("cron", f"{declared.cron}, to the server {trigger.six} ({trigger.server_timezone})"))
    return [
        *rows,
        *concurrency_rows(declared.overlap, declared.catch_up),
        ("runs", f"{wanted.version} on new data each time; newer code only after suanli schedules update"),
        ("created", f"{created_id}, {state}")
        if created_id
        else ("dry run", f"nothing was created; it would be {state}"),
    ]


def new_document(wanted: Wanted, created_id: str) -> dict[str, Any]:
    """A new schedule for programs."""
    declared, trigger = wanted.memo.declared, wanted.trigger
    return {
        "name": wanted.name,
        "id": created_id or None,
        "enabled": wanted.enabled,
        "words": trigger.words(),
        "cron": declared.cron or None,
        "server_cron": trigger.six,
        "timezone": trigger.timezone if trigger.cron else None,
        "interval_seconds": trigger.interval_s,
        "next": [time.isoformat() for time in trigger.next_times(NEXT)],
        "overlap": declared.overlap,
        "catch_up": declared.catch_up,
        "pipeline": wanted.pipeline,
        "version": wanted.version,
        "parameters": wanted.parameters,
    }


def live_rows(schedule: Schedule, version: str, server_timezone: str) -> list[tuple[str, str]]:
    """A schedule on a server as rows of a table."""
    item, trigger = schedule.now, schedule.trigger(server_timezone)
    rows = [
        ("schedule", f"{schedule.name}: {schedule.when(server_timezone)}"),
        ("id", item.id),
        ("state", state(schedule)),
        *(next_rows(trigger) if trigger and item.enabled else []),
        ("cron", f"{item.cron} (six fields, as on the server)")
        if item.cron
        else ("interval", trigger.words() if trigger else ""),
        *concurrency_rows(item.max_concurrency, not item.no_catchup),
        ("version", version),
        *((f"  {name}", str(value)) for name, value in sorted(item.parameters.items())),
    ]
    return [*rows, ("error", item.error)] if item.error else rows


def live_document(schedule: Schedule, server_timezone: str = "UTC") -> dict[str, Any]:
    """A schedule on a server for programs."""
    item, trigger = schedule.now, schedule.trigger(server_timezone)
    return {
        "name": schedule.name,
        "id": item.id,
        "enabled": item.enabled,
        "words": schedule.when(server_timezone),
        "cron": trigger.cron.text if trigger and trigger.cron else None,
        "server_cron": item.cron,
        "timezone": trigger.timezone if trigger and trigger.cron else None,
        "interval_seconds": item.interval_s,
        "next": [time.isoformat() for time in (trigger.next_times(NEXT) if trigger and item.enabled else [])],
        "overlap": item.max_concurrency,
        "catch_up": not item.no_catchup,
        "declared": schedule.memo.declared.model_dump() if schedule.memo else None,
        "earlier": [earlier.id for earlier in schedule.before],
        "version_id": item.version_id,
        "parameters": item.parameters,
        "error": item.error,
    }


def state(schedule: Schedule) -> str:
    """Enabled or paused, and whether an update has left an earlier one behind."""
    text = "enabled" if schedule.now.enabled else "paused"
    return f"{text}, an earlier one still exists" if schedule.before else text


def left_over(schedule: Schedule) -> str:
    """What an update has left behind; empty if nothing."""
    return "; the earlier one is paused and will be deleted when its run has ended" if schedule.before else ""


def next_time(schedule: Schedule, server_timezone: str = "UTC") -> str:
    """When it runs next; empty if that is not known."""
    trigger = schedule.trigger(server_timezone)
    if not (trigger and trigger.cron and schedule.now.enabled):
        return ""
    return _time(trigger.next_times(1)[0], trigger)


def next_rows(trigger: Trigger) -> list[tuple[str, str]]:
    """The next times as rows of a table."""
    if not trigger.cron:
        return [("next", "one interval after the schedule is created or resumed")]
    times = trigger.next_times(NEXT)
    return [("next" if number == 0 else "", _time(time, trigger)) for number, time in enumerate(times)]


def concurrency_rows(overlap: int, catch_up: bool) -> list[tuple[str, str]]:
    return [
        ("overlap", "no overlap" if overlap == 1 else f"up to {overlap} runs at a time"),
        ("catch-up", "missed times are made up for" if catch_up else "no catch-up of missed times"),
    ]


def _time(time: datetime, trigger: Trigger) -> str:
    """A time on a trigger's clock with the name of its zone: abbreviations such as CST are ambiguous."""
    return f"{time:%a %Y-%m-%d %H:%M} {trigger.timezone}"
