"""Schedules as they are found on the server, and what is said of them."""

from typing import Any

import pytest
from watched_schedules import Watched, wanted

from components.core.errors import StepError
from pipelines.cluster.kubeflow.server import Server
from pipelines.cluster.scheduling import live, schedules


def test_a_schedule_is_found_by_name_and_by_id_and_an_unknown_one_names_the_nearest(server: Server) -> None:
    created = schedules.create(server, wanted())
    assert live.find(server, "nightly").now.id == live.find(server, created.now.id).now.id == created.now.id
    with pytest.raises(StepError, match=r"there is no schedule 'nightli'; did you mean nightly\?"):
        live.find(server, "nightli")


def test_what_is_said_of_a_live_schedule_is_what_was_written(server: Server) -> None:
    in_shanghai = wanted(timezone="Asia/Shanghai")
    assert in_shanghai.trigger.six == "0 0 19 * * *"
    schedules.create(server, in_shanghai)
    (schedule,) = live.every(server)
    assert schedule.when() == "every day at 03:00 (Asia/Shanghai)"
    trigger = schedule.trigger()
    assert trigger and [f"{when:%H:%M %Z}" for when in trigger.next_times(2)] == ["03:00 CST", "03:00 CST"]


@pytest.mark.parametrize(
    ("trigger", "said"),
    [
        ({"cron_schedule": {"cron": "0 0 4 * * MON"}}, "every Monday at 04:00 (UTC)"),
        ({"cron_schedule": {"cron": "0 3 * * *"}}, "cron 0 3 * * * (six fields)"),
        ({"cron_schedule": {"cron": "30 0 3 * * *"}}, "cron 30 0 3 * * * (six fields)"),
        ({"periodic_schedule": {"interval_second": "3600"}}, "every hour"),
        ({}, "never"),
    ],
)
def test_a_schedule_of_others_is_put_into_words_only_where_they_are_sure(
    fake: Watched, server: Server, trigger: dict[str, Any], said: str
) -> None:
    schedules.create(server, wanted())
    fake.one().update(trigger=trigger, description="made in the user interface")
    (schedule,) = live.every(server)
    assert schedule.memo is None
    assert schedule.when() == said
