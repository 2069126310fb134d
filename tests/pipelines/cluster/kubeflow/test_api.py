"""What is asked of the server: experiments, versions, runs and schedules."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import kubeflow_pipeline
import pytest
from kubeflow import FakeKubeflow, Fault
from refusals import refused

from pipelines.cluster.kubeflow import api
from pipelines.cluster.kubeflow.connection import Connection
from pipelines.cluster.kubeflow.records import Version
from pipelines.cluster.kubeflow.server import Server, connect

PARAMETERS = kubeflow_pipeline.PARAMETERS


@pytest.fixture
def server(fake: FakeKubeflow) -> Server:
    server = connect(Connection(host=fake.host, timeout=0.7))
    fake.requests.clear()
    return server


@pytest.fixture
def version(server: Server) -> Version:
    return api.upload(server, "small", kubeflow_pipeline.compiled())


def test_an_experiment_is_made_once(fake: FakeKubeflow, server: Server) -> None:
    first = api.experiment(server, "digits", "ten of them")
    assert api.experiment(server, "digits") == first
    assert api.experiment(server, "letters") != first
    assert fake.experiments[first]["description"] == "ten of them"


def test_on_a_multi_user_server_everything_is_made_in_the_namespace() -> None:
    with FakeKubeflow(multi_user=True) as fake:
        server = connect(Connection(host=fake.host, namespace="team-a", timeout=2))
        other = connect(Connection(host=fake.host, namespace="team-b", timeout=2))
        first = api.experiment(server, "digits")
        assert api.experiment(other, "digits") != first
        version = api.upload(server, "small", kubeflow_pipeline.compiled())
        assert fake.pipelines[version.pipeline_id]["namespace"] == "team-a"
        api.create_run(server, name="r", experiment_id=first, version=version, key="k", parameters=PARAMETERS)
        every = api.create_recurring_run(
            server, name="nightly", experiment_id=first, version=version, interval_s=60, parameters=PARAMETERS
        )
        assert api.list_recurring_runs(other) == [] and api.list_recurring_runs(server) == [every]


def test_the_same_content_is_uploaded_once(fake: FakeKubeflow, server: Server) -> None:
    text = kubeflow_pipeline.compiled()
    first, again = api.upload(server, "small", text), api.upload(server, "small", text)
    assert (first.created, again.created) == (True, False)
    assert first.version_id == again.version_id
    assert len(fake.asked("POST pipelines/upload.*")) == 1
    other = api.upload(server, "small", kubeflow_pipeline.compiled("changed"))
    assert other.pipeline_id == first.pipeline_id and other.version_id != first.version_id
    assert {item["display_name"] for item in fake.versions.values()} == {first.name, other.name}


def test_an_upload_is_the_file_as_it_is(fake: FakeKubeflow, server: Server) -> None:
    text = kubeflow_pipeline.compiled()
    version = api.upload(server, "small", text, digest="0123456789abcdef")
    (request,) = fake.asked("POST pipelines/upload_version")
    assert request.body == text and request.query["name"] == version.name == "small-0123456789abcdef"
    assert set(fake.versions[version.version_id]["pipeline_spec"]) == {"pipeline_spec", "platform_spec"}
    spec = api.pipeline_spec(server, version.pipeline_id, version.version_id)
    assert spec is not None and spec["pipelineInfo"]["name"] == "small"


LOST = [
    pytest.param({"act": "drop", "after": True}, id="dropped-after"),
    pytest.param({"act": "drop"}, id="dropped-before"),
    pytest.param({"act": "cut", "after": True}, id="cut-short"),
    pytest.param({"act": "hang", "after": True}, id="hang-after"),
    pytest.param({"act": "hang", "within": 0.3}, id="hang-then-done"),
    pytest.param({"status": 500, "after": True}, id="500-after"),
    pytest.param({"status": 502}, id="502-before"),
    pytest.param({"status": 503, "after": True}, id="503-after"),
    pytest.param({"status": 504, "after": True}, id="504-after"),
    pytest.param({"status": 429}, id="429"),
    pytest.param({"status": 200, "body": "ok", "after": True}, id="garbage-after"),
    pytest.param({"status": 200, "body": "{}", "after": True}, id="empty-after"),
]


@pytest.mark.parametrize("fault", LOST)
@pytest.mark.parametrize("line", ["POST experiments", "POST pipelines", "POST pipelines/upload_version"])
def test_a_lost_answer_makes_no_second_one(
    fake: FakeKubeflow, server: Server, line: str, fault: dict[str, Any]
) -> None:
    fake.inject(Fault(line, **fault))
    api.experiment(server, "digits")
    version = api.upload(server, "small", kubeflow_pipeline.compiled())
    assert len(fake.experiments) == len(fake.pipelines) == len(fake.versions) == 1
    assert version.version_id in fake.versions


def test_a_request_that_may_yet_be_carried_out_is_not_repeated(fake: FakeKubeflow, server: Server) -> None:
    fake.inject(Fault("POST experiments", act="hang"))
    text = refused(lambda: api.experiment(server, "digits"))
    assert (
        "did not answer within 0.7 s; the request was not repeated, since the server may still be working on it" in text
    )
    assert len(fake.asked("POST experiments")) == 1


def test_a_pipeline_that_the_server_refuses_says_why(server: Server) -> None:
    assert "(400): no pipeline spec is provided" in refused(lambda: api.upload(server, "small", "platforms: {}"))


def test_a_file_that_is_not_yaml_is_never_sent(fake: FakeKubeflow, server: Server) -> None:
    for text in ("a: [", "a: b: c", "\tx", 'a: "'):
        assert "the file of the pipeline 'small' is not YAML" in refused(
            lambda text=text: api.upload(server, "small", text)
        )
    assert fake.requests == []


# The calls that send a name or a description, with one that is as long as the server stores.
SENT: list[tuple[str, int, Callable[[Server, Version, str], Any]]] = [
    ("the name of an experiment", 128, lambda server, version, text: api.experiment(server, text)),
    (
        *("the name of a pipeline version", 127),
        lambda server, version, text: api.upload(server, "small", kubeflow_pipeline.compiled(), digest=text[6:]),
    ),
    (
        *("the name of a run", 255),
        lambda server, version, text: api.create_run(
            server, name=text, experiment_id="", version=version, key="k", parameters=PARAMETERS
        ),
    ),
    (
        *("the description of a run", 255),
        # The line with the key belongs to it.
        lambda server, version, text: api.create_run(
            server,
            name="r",
            experiment_id="",
            version=version,
            key="k",
            parameters=PARAMETERS,
            description=text[len("\nsubmission k") :],
        ),
    ),
    ("the name of a schedule", 255, lambda server, version, text: schedule(server, version, name=text)),
    (
        *("the description of a schedule", 255),
        lambda server, version, text: schedule(server, version, description=text[len("\nsubmission ") + 16 :]),
    ),
]


@pytest.mark.parametrize(("what", "most", "call"), SENT, ids=[what for what, _, _ in SENT])
def test_what_the_server_cannot_store_is_refused_before_it_is_sent(
    fake: FakeKubeflow, server: Server, version: Version, what: str, most: int, call: Any
) -> None:
    # Characters count, not bytes.
    call(server, version, "ü" * most)
    fake.requests.clear()
    text = refused(lambda: call(server, version, "ü" * (most + 1)))
    assert text.startswith(f"{what} has {most + 1} characters, and the server stores {most}: ")
    assert not fake.asked("POST .*") and len(fake.objects) == len(fake.recurring_runs)


def test_a_version_is_found_by_its_ids_until_it_is_deleted(
    fake: FakeKubeflow, server: Server, version: Version
) -> None:
    assert api.find_version(server, version.pipeline_id, version.version_id) == Version(
        version.pipeline_id, version.version_id, version.name
    )
    fake.versions.clear()
    assert api.find_version(server, version.pipeline_id, version.version_id) is None
    assert api.pipeline_spec(server, version.pipeline_id, version.version_id) is None


def test_a_run_gets_what_it_is_given(fake: FakeKubeflow, server: Server, version: Version) -> None:
    experiment = api.experiment(server, "digits")
    made = api.create_run(
        server,
        name="first",
        experiment_id=experiment,
        version=version,
        key="k1",
        parameters=PARAMETERS,
        description="two\nlines",
        pipeline_root="gs://bucket/kfp",
        service_account="trainer",
    )
    kept = fake.runs[made.id]
    assert kept["service_account"] == "trainer"
    assert kept["runtime_config"] == {"parameters": PARAMETERS, "pipeline_root": "gs://bucket/kfp"}
    found = api.get_run(server, made.id)
    assert (found.description, found.key, found.state) == ("two\nlines", "k1", "PENDING")
    assert (found.pipeline_root, found.version_id) == ("gs://bucket/kfp", version.version_id)
    assert found.created is not None and found.created.tzinfo is UTC


def test_a_parameter_that_the_pipeline_does_not_have_starts_nothing(
    fake: FakeKubeflow, server: Server, version: Version
) -> None:
    experiment = api.experiment(server, "digits")
    text = refused(
        lambda: api.create_run(
            server, name="r", experiment_id=experiment, version=version, key="k", parameters={**PARAMETERS, "epoch": 1}
        )
    )
    assert "not required by pipeline: epoch" in text and fake.runs == {}


def test_long_lists_come_whole_and_newest_first(fake: FakeKubeflow, server: Server, version: Version) -> None:
    experiment = api.experiment(server, "digits")
    made = api.create_run(server, name="r0", experiment_id=experiment, version=version, key="k", parameters=PARAMETERS)
    for number in range(1, 250):
        item = {**fake.runs[made.id], "run_id": f"id{number}", "display_name": f"r{number}", "created_at": fake.now()}
        fake.runs[item["run_id"]] = item
    names = [run.name for run in api.list_runs(server, experiment_id=experiment)]
    assert names == [f"r{number}" for number in reversed(range(250))]
    assert [run.name for run in api.list_runs(server, limit=3)] == ["r249", "r248", "r247"]
    assert [run.name for run in api.list_runs(server, name="r7")] == ["r7"]


def test_a_missing_right_is_named(fake: FakeKubeflow, server: Server, version: Version) -> None:
    experiment = api.experiment(server, "digits")
    fake.denied.add(("runs", "create"))
    text = refused(
        lambda: api.create_run(
            server, name="r", experiment_id=experiment, version=version, key="k", parameters=PARAMETERS
        )
    )
    assert "no right to create runs in namespace kubeflow (403)" in text and fake.runs == {}


def schedule(server: Server, version: Version, **changes: Any) -> api.RecurringRun:
    values = {"name": "nightly", "cron": "0 0 3 * * *", "parameters": PARAMETERS, **changes}
    return api.create_recurring_run(server, experiment_id=api.experiment(server, "digits"), version=version, **values)


def test_a_schedule_is_kept_as_it_was_given(fake: FakeKubeflow, server: Server, version: Version) -> None:
    start, end = datetime(2026, 12, 1, 3, tzinfo=UTC), datetime(2027, 12, 1, tzinfo=UTC)
    made = schedule(
        server,
        version,
        description="of the team",
        start=start,
        end=end,
        max_concurrency=2,
        pipeline_root="gs://b/k",
        service_account="trainer",
    )
    assert api.get_recurring_run(server, made.id) == made
    assert (made.cron, made.interval_s, made.start, made.end) == ("0 0 3 * * *", None, start, end)
    assert (made.max_concurrency, made.no_catchup, made.enabled) == (2, True, True)
    assert (made.description, made.parameters, made.version_id) == ("of the team", PARAMETERS, version.version_id)
    assert (made.pipeline_root, made.service_account, made.error) == ("gs://b/k", "trainer", "")
    assert fake.recurring_runs[made.id]["mode"] == "ENABLE"


def test_a_schedule_may_be_an_interval(server: Server, version: Version) -> None:
    made = schedule(server, version, cron=None, interval_s=3600, enabled=False, no_catchup=False)
    assert (made.cron, made.interval_s, made.enabled, made.no_catchup) == (None, 3600, False, False)


def test_a_schedule_is_paused_resumed_and_deleted(fake: FakeKubeflow, server: Server, version: Version) -> None:
    made = schedule(server, version)
    api.disable_recurring_run(server, made.id)
    assert not api.get_recurring_run(server, made.id).enabled
    api.enable_recurring_run(server, made.id)
    assert api.get_recurring_run(server, made.id).enabled
    other = schedule(server, version, name="weekly")
    assert [item.name for item in api.list_recurring_runs(server)] == ["nightly", "weekly"]
    assert api.list_recurring_runs(server, name="weekly") == [other]
    api.delete_recurring_run(server, made.id)
    assert api.list_recurring_runs(server, experiment_id=other.experiment_id) == [other]
    for call in (api.get_recurring_run, api.enable_recurring_run, api.delete_recurring_run):
        assert (
            f"the schedule {made.id}" in (text := refused(lambda call=call: call(server, made.id))) and "(404)" in text
        )


@pytest.mark.parametrize(
    "fault", [{"act": "drop", "after": True}, {"status": 502, "after": True}, {"act": "drop"}], ids=str
)
def test_a_deletion_whose_answer_is_lost_is_no_error(
    fake: FakeKubeflow, server: Server, version: Version, fault: dict[str, Any]
) -> None:
    made = schedule(server, version)
    fake.inject(Fault("DELETE recurringruns/.*", **fault))
    api.delete_recurring_run(server, made.id)
    assert fake.recurring_runs == {}


@pytest.mark.parametrize("fault", LOST)
def test_a_lost_answer_makes_no_second_schedule(
    fake: FakeKubeflow, server: Server, version: Version, fault: dict[str, Any]
) -> None:
    fake.inject(Fault("POST recurringruns", **fault))
    made = schedule(server, version)
    assert list(fake.recurring_runs) == [made.id]


def test_a_schedule_that_was_made_late_after_all_is_left_alone_and_the_second_deleted(
    fake: FakeKubeflow, server: Server, version: Version
) -> None:
    fake.inject(Fault("POST recurringruns", act="drop", late=True))
    made = schedule(server, version)
    assert len(fake.asked("POST recurringruns")) == 2
    assert list(fake.recurring_runs) == [made.id]
    assert len(fake.asked("DELETE recurringruns/.*")) == 1


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"cron": "0 3 *"}, "not a supported format"),
        ({"interval_s": 60}, "either a cron expression or an interval"),
        ({"cron": None}, "either a cron expression or an interval"),
        ({"cron": None, "interval_s": 0}, "at interval to least 1 second"),
        ({"max_concurrency": 11}, "at least 1 and at most 10"),
        ({"start": datetime(2026, 12, 1)}, "with its zone"),
        ({"parameters": {}}, "is not optional"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(
    fake: FakeKubeflow, server: Server, version: Version, changes: dict[str, Any], complaint: str
) -> None:
    assert complaint in refused(lambda: schedule(server, version, **changes))
    assert fake.recurring_runs == {}
