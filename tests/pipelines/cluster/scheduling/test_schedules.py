"""Schedules over real HTTP: by name, one of each, never none and never two enabled, whatever fails in between."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import kubeflow
import pytest
from kubernetes_api import FakeKubernetes, thing
from watched_schedules import PARAMETERS, Watched, wanted

from components.core.errors import StepError
from pipelines.cluster.kube import access
from pipelines.cluster.kubeflow.connection import Connection
from pipelines.cluster.kubeflow.server import Server, connect
from pipelines.cluster.scheduling import drift, live, schedules
from pipelines.cluster.scheduling.declared import read_memo


def test_a_schedule_reaches_the_server_as_it_was_meant(fake: Watched, server: Server) -> None:
    created = schedules.create(server, wanted())
    item = fake.one()
    assert item["recurring_run_id"] == created.now.id
    assert item["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * *"}}
    assert (item["max_concurrency"], item["no_catchup"], item["status"]) == ("1", True, "ENABLED")
    assert item["runtime_config"] == {"parameters": PARAMETERS, "pipeline_root": "gs://bucket/root"}
    assert item["service_account"] == "runner"
    assert item["description"].startswith("digits on l4, every day at 03:00 (UTC)\n")
    version = fake.versions[item["pipeline_version_reference"]["pipeline_version_id"]]
    assert version["display_name"] == "training-digits-digest"


def test_an_interval_and_what_is_not_the_default_reach_the_server_too(fake: Watched, server: Server) -> None:
    schedules.create(server, wanted(every="6h", overlap=2, catch_up=True, paused=True))
    item = fake.one()
    assert item["trigger"] == {"periodic_schedule": {"interval_second": "21600"}}
    assert (item["max_concurrency"], item.get("no_catchup", False), item["status"]) == ("2", False, "DISABLED")


# As long as a schedule's options get: more than its description can hold.
LONG = {"set": [f"training.epochs={number}" for number in range(40)], "timezone": "UTC"}


def test_options_that_do_not_fit_into_the_description_are_kept_with_a_version_of_its_own(
    fake: Watched, server: Server
) -> None:
    schedules.create(server, wanted())
    first = fake.one()["pipeline_version_reference"]["pipeline_version_id"]
    schedules.update(server, wanted(**LONG))
    item = fake.one()
    assert len(item["description"]) <= 255 and item["description"].startswith("digits on l4, every day")
    version = fake.versions[item["pipeline_version_reference"]["pipeline_version_id"]]
    assert version["pipeline_version_id"] != first and version["pipeline_spec"] == fake.versions[first]["pipeline_spec"]
    # Nothing of it is lost, whatever happens to the schedule.
    for _ in range(3):
        schedules.pause(server, "nightly")
        schedules.resume(server, "nightly")
        (found,) = live.every(server)
        assert found.memo and found.memo.declared == wanted(**LONG).memo.declared
        assert drift.differences(server, [wanted(**LONG)], [found]) == []
    assert len(fake.versions) == 2
    assert schedules.update(server, wanted()).before == () and len(fake.recurring_runs) == 1
    assert drift.differences(server, [wanted()], live.every(server)) == []


def test_a_schedule_by_an_earlier_suanli_is_found_with_the_whole_ids_of_those_before_it(
    fake: Watched, server: Server
) -> None:
    before = schedules.create(server, wanted())
    fake.run(before.now.id)
    schedules.update(server, wanted(note="new"))
    new = next(item for item in fake.recurring_runs.values() if item["recurring_run_id"] != before.now.id)
    short = f'"{before.now.id[:8]}"'
    assert short in new["description"]
    new["description"] = new["description"].replace(short, f'"{before.now.id}"')
    (found,) = live.every(server)
    assert [item.id for item in found.before] == [before.now.id]


def test_a_schedule_whose_runs_never_end_says_when_there_is_no_room_left_for_more(
    fake: Watched, server: Server
) -> None:
    schedules.create(server, wanted())
    with pytest.raises(StepError, match="has no room for what it was made from") as caught:
        for number in range(20):
            fake.run(schedules.update(server, wanted(note=str(number))).now.id)
    assert "wait until the runs of the earlier ones have ended" in caught.value.advice
    assert len(fake.objects) == len(fake.recurring_runs)


@pytest.mark.parametrize("verb", ["create", "update"])
def test_what_a_failed_creation_leaves_in_the_cluster_is_named(
    fake: Watched, server: Server, verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if verb == "update":
        schedules.create(server, wanted())
    act = {"create": schedules.create, "update": schedules.update}[verb]
    with FakeKubernetes() as kubernetes:
        monkeypatch.setenv("KUBECONFIG", str(kubernetes.kubeconfig(tmp_path)))
        cluster = access.connect()

        def fail() -> StepError:
            fake.inject(kubeflow.Fault(on="POST recurringruns", status=500, body="{}"))
            with pytest.raises(StepError) as caught:
                act(server, wanted(note="new"), cluster)
            assert "\n" not in str(caught.value)
            return caught.value

        assert "it has left" not in fail().message
        known = [item["metadata"] for item in fake.objects.values()]
        for metadata in (*known, {"name": "nightlyx7k2p", "uid": "0b1c"}):
            api, name = "kubeflow.org/v1beta1", metadata["name"]
            kubernetes.add(thing("ScheduledWorkflow", name, api=api, metadata=metadata))
        error = fail()
        assert error.message.endswith("; it has left the object nightlyx7k2p, which starts runs")
        assert error.advice == "kubectl delete scheduledworkflow nightlyx7k2p --namespace kubeflow"


def test_without_a_cluster_a_failed_creation_says_who_names_what_it_may_have_left(
    fake: Watched, server: Server
) -> None:
    fake.inject(kubeflow.Fault(on="POST recurringruns", status=500, body="{}"))
    with pytest.raises(StepError, match="a schedule may have been left that no command shows; suanli doctor"):
        schedules.create(server, wanted())


def test_a_name_is_given_once(fake: Watched, server: Server) -> None:
    schedules.create(server, wanted())
    with pytest.raises(StepError, match="the schedule 'nightly' already exists") as caught:
        schedules.create(server, wanted(note="other"))
    assert caught.value.kind == "conflict"
    assert len(fake.recurring_runs) == 1


def test_two_of_one_name_by_others_are_named_by_their_ids(fake: Watched, server: Server) -> None:
    schedules.create(server, wanted())
    (first,) = fake.recurring_runs
    fake.recurring_runs["second"] = {**fake.recurring_runs[first], "recurring_run_id": "second"}
    with pytest.raises(StepError, match="there are 2 schedules called 'nightly'") as caught:
        schedules.pause(server, "nightly")
    assert first in caught.value.advice and "second" in caught.value.advice
    assert schedules.pause(server, "second").now.id == "second"
    assert fake.recurring_runs[first]["status"] == "ENABLED"


def test_pause_and_resume(fake: Watched, server: Server) -> None:
    schedules.create(server, wanted())
    assert not schedules.pause(server, "nightly").now.enabled
    assert fake.one()["status"] == "DISABLED"
    assert not schedules.pause(server, "nightly").now.enabled
    assert schedules.resume(server, "nightly").now.enabled
    assert fake.one()["status"] == "ENABLED"


def test_a_resumed_schedule_begins_anew_so_that_nothing_missed_is_made_up_for(fake: Watched, server: Server) -> None:
    before = schedules.create(server, wanted())
    old = dict(fake.one())
    schedules.pause(server, "nightly")
    after = schedules.resume(server, "nightly")
    assert after.now.id != before.now.id
    new = fake.one()
    for key in ("trigger", "runtime_config", "pipeline_version_reference", "max_concurrency", "service_account"):
        assert new[key] == old[key]
    assert new["created_at"] > old["created_at"]
    kept = read_memo(new["description"])
    assert kept and kept.declared == wanted().memo.declared
    again = schedules.resume(server, "nightly")
    assert again.now.id == after.now.id
    assert all(enabled <= 1 for _, enabled in fake.counts)


def test_a_schedule_with_catch_up_is_only_enabled(fake: Watched, server: Server) -> None:
    before = schedules.create(server, wanted(catch_up=True))
    schedules.pause(server, "nightly")
    assert schedules.resume(server, "nightly").now.id == before.now.id
    assert fake.one()["status"] == "ENABLED"


@pytest.mark.parametrize("paused", [False, True])
def test_an_update_takes_the_place_of_the_old_one(fake: Watched, server: Server, paused: bool) -> None:
    before = schedules.create(server, wanted(paused=paused))
    fake.counts.clear()
    after = schedules.update(server, wanted(note="new", cron="0 4 * * *", paused=paused))
    assert after.now.id != before.now.id and after.before == ()
    item = fake.one()
    assert item["trigger"]["cron_schedule"]["cron"] == "0 0 4 * * *"
    assert item["status"] == ("DISABLED" if paused else "ENABLED")
    assert fake.versions[item["pipeline_version_reference"]["pipeline_version_id"]]["display_name"].endswith(
        "digestnew"
    )
    assert all(there >= 1 and enabled <= 1 for there, enabled in fake.counts)


# Where an update fails, whether its work was done although the answer says no, and what may be done next.
STEPS = ["POST recurringruns", "POST recurringruns/.*:disable", "POST recurringruns/.*:enable", "DELETE .*"]


@pytest.mark.parametrize("after", [False, True], ids=["undone", "done"])
@pytest.mark.parametrize("on", STEPS)
@pytest.mark.parametrize("verb", ["update", "pause", "resume", "delete"])
def test_what_an_interrupted_update_leaves_is_brought_to_its_end(
    fake: Watched, server: Server, on: str, after: bool, verb: str
) -> None:
    schedules.create(server, wanted())
    fake.counts.clear()
    fake.inject(kubeflow.Fault(on=on, status=403, body='{"message": "no"}', after=after))
    with pytest.raises(StepError):
        schedules.update(server, wanted(note="new"))
    assert all(there >= 1 and enabled <= 1 for there, enabled in fake.counts)
    calls: dict[str, Callable[[], object]] = {
        "update": lambda: schedules.update(server, wanted(note="new")),
        "pause": lambda: schedules.pause(server, "nightly"),
        "resume": lambda: schedules.resume(server, "nightly"),
        "delete": lambda: schedules.delete(server, "nightly"),
    }
    calls[verb]()
    assert all(enabled <= 1 for _, enabled in fake.counts)
    if verb == "delete":
        assert not fake.recurring_runs
        return
    assert all(there >= 1 for there, _ in fake.counts)
    assert fake.one()["status"] == ("DISABLED" if verb == "pause" else "ENABLED")
    if verb == "update":
        assert drift.differences(server, [wanted(note="new")], live.every(server)) == []


def test_a_run_under_way_outlives_an_update_of_its_schedule(fake: Watched, server: Server) -> None:
    before = schedules.create(server, wanted())
    run = fake.run(before.now.id)
    after = schedules.update(server, wanted(note="new"))
    assert [item.id for item in after.before] == [before.now.id]
    assert {item["status"] for item in fake.recurring_runs.values()} == {"ENABLED", "DISABLED"}
    # It is at rest, and so no difference.
    assert drift.differences(server, [wanted(note="new")], live.every(server)) == []
    schedules.pause(server, "nightly")
    # Somebody paused it: bringing the update to its end does not undo that.
    assert not schedules.settle(server, live.find(server, "nightly")).now.enabled
    fake.finish(run)
    found = drift.differences(server, [wanted(note="new", paused=True)], live.every(server))
    assert [str(difference) for difference in found] == ["nightly: an earlier one is still there, should be gone"]
    assert drift.repair(server, found, wanted(note="new", paused=True)) == "settled"
    assert fake.one()["status"] == "DISABLED"
    assert fake.one()["recurring_run_id"] == after.now.id


def test_a_schedule_with_a_run_under_way_is_deleted_only_by_force(fake: Watched, server: Server) -> None:
    created = schedules.create(server, wanted())
    run = fake.run(created.now.id)
    with pytest.raises(StepError, match=f"nightly's run {run} is running and would end with its schedule"):
        schedules.delete(server, "nightly")
    assert fake.one()["status"] == "ENABLED"
    threading.Timer(0.2, fake.finish, [run, "CANCELED"]).start()
    schedules.delete(server, "nightly", force=True)
    assert not fake.recurring_runs
    # With its schedule gone, the server would call it RUNNING for ever.
    assert [entry["state"] for entry in fake.runs[run]["state_history"]][-2:] == ["CANCELING", "FAILED"]


def test_a_run_that_does_not_end_keeps_its_schedule_paused(
    fake: Watched, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedules, "STOP_S", 0.1)
    run = fake.run(schedules.create(server, wanted()).now.id)
    with pytest.raises(StepError, match=f"nightly's run {run} was stopped and has not ended within 0.1 s"):
        schedules.delete(server, "nightly", force=True)
    assert fake.one()["status"] == "DISABLED" and fake.runs[run]["state"] == "CANCELING"


def test_a_schedule_whose_runs_are_over_is_deleted(fake: Watched, server: Server) -> None:
    created = schedules.create(server, wanted())
    fake.finish(fake.run(created.now.id))
    schedules.delete(server, "nightly")
    assert not fake.recurring_runs
    with pytest.raises(StepError, match="there is no schedule 'nightly'; suanli schedule EXPERIMENT creates one"):
        schedules.delete(server, "nightly")


FAULTS = {
    "401": kubeflow.Fault(on="", status=401, body='{"message": "who"}'),
    "403": kubeflow.Fault(on="", status=403, body='{"message": "no"}'),
    "404": kubeflow.Fault(on="", status=404, body='{"message": "where"}'),
    "409": kubeflow.Fault(on="", status=409, body='{"message": "twice"}'),
    "429": kubeflow.Fault(on="", status=429, body="{}", times=50, headers={"Retry-After": "0"}),
    "500": kubeflow.Fault(on="", status=500, body="{}", times=50),
    "hang": kubeflow.Fault(on="", act="hang", times=50),
    "drop": kubeflow.Fault(on="", act="drop", times=50),
}


REQUESTS: dict[str, tuple[str, Callable[[Server], object]]] = {
    "create": ("POST recurringruns", lambda server: schedules.create(server, replace(wanted(), name="other"))),
    "list": ("GET recurringruns", live.every),
    "pause": ("POST recurringruns/.*:disable", lambda server: schedules.pause(server, "nightly")),
    "update": ("POST recurringruns", lambda server: schedules.update(server, wanted(note="new"))),
    "delete": ("DELETE recurringruns/.*", lambda server: schedules.delete(server, "nightly")),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("verb", REQUESTS)
def test_each_error_is_one_line_and_loses_nothing(fake: Watched, server: Server, verb: str, fault: str) -> None:
    schedules.create(server, wanted())
    server = connect(Connection(host=fake.host, timeout=0.7))
    on, call = REQUESTS[verb]
    fake.inject(replace(FAULTS[fault], on=on))
    with pytest.raises(StepError) as caught:
        call(server)
    assert "\n" not in str(caught.value)
    assert "nightly" in [item["display_name"] for item in fake.recurring_runs.values()]


@pytest.mark.parametrize("act", ["drop", "cut", "answer"])
def test_a_lost_answer_does_not_make_two(fake: Watched, server: Server, act: Any) -> None:
    fake.inject(kubeflow.Fault(on="POST recurringruns", act=act, status=502, after=True))
    schedules.create(server, wanted())
    assert len(fake.recurring_runs) == 1


def test_a_user_without_the_right_is_told_so(fake: Watched, server: Server) -> None:
    fake.denied.add(("jobs", "create"))
    with pytest.raises(StepError, match="nightly"):
        schedules.create(server, wanted())
    assert not fake.recurring_runs
