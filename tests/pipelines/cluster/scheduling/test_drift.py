"""What differs between declared and live schedules, and how it is mended."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import kubeflow
import pytest
from watched_schedules import Watched, wanted

from components.core.errors import StepError
from pipelines.cluster.kubeflow.server import Server
from pipelines.cluster.scheduling import drift, live, schedules


def test_a_second_one_of_a_declared_name_is_a_difference(fake: Watched, server: Server) -> None:
    schedules.create(server, wanted())
    (first,) = fake.recurring_runs
    later = {**fake.recurring_runs[first], "recurring_run_id": "second", "created_at": "2027-01-01T00:00:00Z"}
    fake.recurring_runs["second"] = later
    found = drift.differences(server, [wanted()], live.every(server))
    assert [str(difference) for difference in found] == [
        f"nightly: another one of this name is {first}, should be absent"
    ]
    with pytest.raises(StepError, match="there are 2 schedules called 'nightly'"):
        drift.repair(server, found, wanted())


def test_an_interrupted_update_is_seen(fake: Watched, server: Server) -> None:
    schedules.create(server, wanted())
    fake.inject(kubeflow.Fault(on="POST recurringruns/.*:disable", status=403, body="{}"))
    with pytest.raises(StepError):
        schedules.update(server, wanted(note="new"))
    (schedule,) = live.every(server)
    assert len(schedule.before) == 1 and not schedule.now.enabled
    found = drift.differences(server, [wanted(note="new")], [schedule])
    assert [str(difference) for difference in found] == [
        "nightly: an earlier one is still there, should be gone",
        "nightly: state is paused, should be enabled",
    ]
    drift.repair(server, found, wanted(note="new"))
    assert fake.one()["status"] == "ENABLED"
    assert drift.differences(server, [wanted(note="new")], live.every(server)) == []


def _change(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda item: item.update({key: value})


def _parameters(**changes: Any) -> Callable[[dict[str, Any]], None]:
    def change(item: dict[str, Any]) -> None:
        given = {**item["runtime_config"]["parameters"], **changes}
        item["runtime_config"]["parameters"] = {key: value for key, value in given.items() if value != "GONE"}

    return change


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        (_change("status", "DISABLED"), ["nightly: state is paused, should be enabled"]),
        (
            _change("trigger", {"cron_schedule": {"cron": "0 3 * * *"}}),
            ["nightly: cron is 0 3 * * *, should be 0 0 3 * * *"],
        ),
        (
            _change("trigger", {"periodic_schedule": {"interval_second": "60"}}),
            ["nightly: cron is none, should be 0 0 3 * * *", "nightly: interval is every minute, should be none"],
        ),
        # kubeflow/pipelines#9012: parameters are lost.
        (_parameters(epochs="GONE"), ["nightly: parameter epochs is missing, should be 3"]),
        (_change("runtime_config", {"pipeline_root": "gs://bucket/root"}), 4),
        (
            _parameters(data={"name": "cnn", "batch": 3, "more": 1, "nothing": None}),
            [
                "nightly: parameter data.more is 1, should be absent",
                "nightly: parameter data.name is cnn, should be digits",
            ],
        ),
        (
            _parameters(data={"name": "digits", "batch": 3}),
            ["nightly: parameter data.nothing is missing, should be None"],
        ),
        (_parameters(epochs=3.0), []),
        (_parameters(extra="x"), ["nightly: parameter extra is x, should be absent"]),
        # #11296: the image of before an upgrade stays.
        (
            _parameters(train_image="here/train:old"),
            ["nightly: image of train is here/train:old, should be absent"],
        ),
        (_change("max_concurrency", "10"), ["nightly: overlap is 10, should be 1"]),
        (_change("no_catchup", False), ["nightly: catch-up is on, should be off"]),
        (_change("service_account", ""), ["nightly: service account is none, should be runner"]),
        (
            _change("pipeline_version_reference", {"pipeline_id": "p"}),
            ["nightly: pipeline version is always the newest, should be training-digits-digest"],
        ),
    ],
)
def test_whatever_a_server_loses_or_keeps_too_long_is_a_line_and_is_mended(
    fake: Watched, server: Server, change: Callable[[dict[str, Any]], None], lines: list[str] | int
) -> None:
    schedules.create(server, wanted())
    change(fake.one())
    found = drift.differences(server, [wanted()], live.every(server))
    said = [str(difference) for difference in found]
    assert (len(said) if isinstance(lines, int) else said) == lines
    if found:
        drift.repair(server, found, wanted())
    assert drift.differences(server, [wanted()], live.every(server)) == []


def test_the_account_that_the_server_fills_in_is_no_difference(fake: Watched, server: Server) -> None:
    plain = replace(wanted(), service_account="")
    schedules.create(server, plain)
    assert fake.one()["service_account"] == "pipeline-runner"
    assert drift.differences(server, [plain], live.every(server)) == []
    # One that is declared, and one that is declared no more, are.
    (found,) = drift.differences(server, [wanted()], live.every(server))
    assert str(found) == "nightly: service account is pipeline-runner, should be runner"
    drift.repair(server, [found], wanted())
    assert drift.differences(server, [wanted()], live.every(server)) == []
    assert len(drift.differences(server, [plain], live.every(server))) == 1


def test_a_version_that_is_gone_missing_and_unknown_schedules_are_told(fake: Watched, server: Server) -> None:
    other = replace(wanted(every="7d"), name="weekly")
    assert [str(found) for found in drift.differences(server, [wanted()], [])] == [
        "nightly: missing, should run every day at 03:00 (UTC)"
    ]
    schedules.create(server, wanted())
    schedules.create(server, other)
    fake.versions.clear()
    found = drift.differences(server, [wanted()], live.every(server))
    assert [str(difference) for difference in found] == [
        "nightly: pipeline version is gone from the server, should be training-digits-digest",
        "weekly: not declared, runs every 7 days",
    ]
    assert drift.repair(server, found[:1], wanted()) == "updated"
    assert drift.repair(server, found[1:], None) == "deleted"
    assert drift.differences(server, [wanted()], live.every(server)) == []


def test_schedules_of_others_are_no_difference(fake: Watched, server: Server) -> None:
    schedules.create(server, wanted())
    fake.one()["description"] = "made in the user interface"
    assert drift.differences(server, [], live.every(server)) == []
