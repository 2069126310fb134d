"""A live schedule, for people and for programs."""

from typing import Any

from pipelines.cli import schedule as one
from pipelines.cluster.scheduling.live import Schedule


def state(schedule: Schedule) -> str:
    """Enabled or paused, and whether an update has left an earlier one."""
    state = "enabled" if schedule.now.enabled else "paused"
    return f"{state}, an earlier one still there" if schedule.before else state


def kept(schedule: Schedule) -> str:
    """What is left of an update."""
    return "; the earlier one is paused, and goes once its run is over" if schedule.before else ""


def next_time(schedule: Schedule, server_timezone: str = "UTC") -> str:
    """When it runs next; empty where that is not known."""
    when = schedule.trigger(server_timezone)
    if not (when and when.cron and schedule.now.enabled):
        return ""
    return one.moment(when.next_times(1)[0], when)


def document(schedule: Schedule, server_timezone: str = "UTC") -> dict[str, Any]:
    """A schedule for programs."""
    item, when = schedule.now, schedule.trigger(server_timezone)
    due = when.next_times(one.NEXT) if when and item.enabled else []
    return {
        "name": schedule.name,
        "id": item.id,
        "enabled": item.enabled,
        "words": schedule.when(server_timezone),
        "cron": when.cron.text if when and when.cron else None,
        "server_cron": item.cron,
        "timezone": when.timezone if when and when.cron else None,
        "interval_seconds": item.interval_s,
        "next": [instant.isoformat() for instant in due],
        "overlap": item.max_concurrency,
        "catch_up": not item.no_catchup,
        "declared": schedule.memo.declared.model_dump() if schedule.memo else None,
        "earlier": [earlier.id for earlier in schedule.before],
        "version_id": item.version_id,
        "parameters": item.parameters,
        "error": item.error,
    }
