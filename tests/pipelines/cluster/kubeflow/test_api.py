import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

import kubeflow_pipeline
import pytest
from kubeflow import FakeKubeflow, Fault

from components.core.errors import StepError
from pipelines.cluster.kubeflow import api
from pipelines.cluster.kubeflow.connection import Connection
from pipelines.cluster.kubeflow.records import Version
from pipelines.cluster.kubeflow.server import Server, connect, require_recent

PARAMETERS = kubeflow_pipeline.PARAMETERS
FORBIDDEN = (
    '{"error": "x", "code": 7, "message": "x", "details": [{"error_message": "User \'ann\' is not authorized with '
    "reason: (request: &ResourceAttributes{Namespace:team-a,Verb:list,Group:pipelines.kubeflow.org,Version:v1beta1,"
    'Resource:runs,Subresource:,Name:,})"}]}'
)


@pytest.fixture
def server(fake: FakeKubeflow) -> Server:
    server = connect(Connection(host=fake.host, timeout=0.7))
    fake.requests.clear()
    return server


@pytest.fixture
def version(server: Server) -> Version:
    return api.upload(server, "small", kubeflow_pipeline.compiled())


def fails(call: Callable[[], Any]) -> str:
    with pytest.raises(StepError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text and len(text) < 700, text
    return text


# One line for each failure


@pytest.mark.parametrize(
    ("fault", "parts"),
    [
        pytest.param({"status": 400, "body": '{"message": "bad sort"}'}, ["refuses it (400): bad sort"], id="400"),
        pytest.param(
            {"status": 401}, ["refuses the credentials (401)", "SUANLI_TOKEN_FILE", "SUANLI_COOKIES"], id="401"
        ),
        pytest.param(
            {"status": 403, "body": FORBIDDEN},
            ["no right to list runs in namespace team-a (403)", "--namespace"],
            id="403-names-the-right",
        ),
        pytest.param(
            {"status": 403, "body": "RBAC: access denied"},
            ["no right to list runs in namespace kubeflow (403): RBAC: access denied"],
            id="403-of-a-gateway",
        ),
        pytest.param({"status": 404, "body": "<html>nope</html>"}, ["does not have it (404): Not Found"], id="404"),
        pytest.param({"status": 409, "body": '{"error_message": "taken"}'}, ["(409): taken"], id="409"),
        pytest.param({"status": 429, "headers": {"Retry-After": "60"}}, ["(429)", "try again in 60 s"], id="429"),
        pytest.param({"status": 500, "body": '{"error": "no database"}'}, ["failed (500): no database"], id="500"),
        pytest.param(
            {
                "status": 500,
                "body": '{"message": "Internal: no disk", "details": [{"message": "Internal Server Error"}]}',
            },
            ["failed (500): Internal: no disk"],
            id="500-in-full",
        ),
        pytest.param({"status": 503, "body": "no healthy upstream"}, ["failed (503): no healthy upstream"], id="503"),
        pytest.param({"act": "hang"}, ["did not answer within 0.7 s", "SUANLI_TIMEOUT"], id="hang"),
        pytest.param({"act": "drop"}, ["closed the connection"], id="drop"),
        pytest.param({"act": "cut", "after": True}, ["closed the connection"], id="cut-short"),
        pytest.param(
            {"status": 200, "body": "<html>Sign in", "headers": {"Content-Type": "text/html"}},
            ["is not JSON: text/html: <html>Sign in", "SUANLI_COOKIES"],
            id="login-page",
        ),
        pytest.param(
            {"status": 302, "headers": {"Location": "https://dex.example.com/auth?state=secret"}},
            ["redirects to https://dex.example.com/auth (302)", "SUANLI_CLIENT_ID"],
            id="redirect",
        ),
        pytest.param({"status": 200, "body": '{"runs": 3}'}, ["unexpected answer from"], id="wrong-shape"),
    ],
)
def test_every_failure_is_one_clear_line(
    fake: FakeKubeflow, server: Server, fault: dict[str, Any], parts: list[str]
) -> None:
    fake.inject(Fault("GET runs", times=99, **fault))
    begun = time.monotonic()
    text = fails(lambda: api.list_runs(server))
    assert text.startswith("cannot list runs: "), text
    assert [part for part in parts if part not in text] == [], text
    assert time.monotonic() - begun < 2.5


def test_a_body_that_never_ends_is_given_up_in_time(fake: FakeKubeflow, server: Server) -> None:
    for number in range(20):
        api.experiment(server, f"experiment {number}")
    fake.inject(Fault("GET experiments", act="slow", after=True))
    begun = time.monotonic()
    assert "did not answer within 0.7 s" in fails(lambda: api.experiment(server, "experiment 3"))
    assert time.monotonic() - begun < 1.5


@pytest.mark.parametrize("body", ["{}", '{"display_name": "x"}'])
def test_an_object_without_its_id_is_not_believed(fake: FakeKubeflow, server: Server, body: str) -> None:
    fake.inject(Fault("GET runs/7", status=200, body=body))
    assert "it has no run_id" in fails(lambda: api.get_run(server, "7"))


def test_the_servers_own_words_come_through(server: Server) -> None:
    assert "cannot read the run 7: " in (text := fails(lambda: api.get_run(server, "7")))
    assert "(404): Run 7 not found;" in text


# Again where it is safe


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 429},
        {"status": 502},
        {"status": 503},
        {"status": 504},
        {"act": "drop"},
        {"act": "cut", "after": True},
    ],
    ids=str,
)
def test_a_passing_fault_is_survived(fake: FakeKubeflow, fault: dict[str, Any]) -> None:
    server = connect(Connection(host=fake.host))
    fake.inject(Fault("GET runs", times=2, **fault))
    assert api.list_runs(server) == []
    assert len(fake.asked("GET runs")) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 500])
def test_a_lasting_fault_is_not_asked_for_again(fake: FakeKubeflow, server: Server, status: int) -> None:
    fake.inject(Fault("GET runs", status=status, times=9))
    fails(lambda: api.list_runs(server))
    assert len(fake.asked("GET runs")) == 1


def test_a_server_may_say_how_long_to_wait(fake: FakeKubeflow) -> None:
    server = connect(Connection(host=fake.host))
    fake.inject(Fault("GET runs", status=429, headers={"Retry-After": "1"}))
    assert api.list_runs(server) == []
    first, second = fake.asked("GET runs")
    assert 1.0 <= second.at - first.at < 1.6


def test_a_server_may_say_until_when_to_wait(fake: FakeKubeflow) -> None:
    server = connect(Connection(host=fake.host))
    fake.inject(Fault("GET runs", status=503, headers={"Retry-After": formatdate(time.time() + 2, usegmt=True)}))
    assert api.list_runs(server) == []
    first, second = fake.asked("GET runs")
    assert 0.9 <= second.at - first.at < 2.5


def test_a_server_that_says_to_wait_for_too_long_is_not_waited_for(fake: FakeKubeflow, server: Server) -> None:
    fake.inject(Fault("GET runs", status=503, headers={"Retry-After": "3600"}))
    begun = time.monotonic()
    fails(lambda: api.list_runs(server))
    assert time.monotonic() - begun < 0.5 and len(fake.asked("GET runs")) == 1


def test_repetitions_stay_within_the_time_limit(fake: FakeKubeflow, server: Server) -> None:
    fake.inject(Fault("GET runs", status=503, times=99))
    begun = time.monotonic()
    fails(lambda: api.list_runs(server))
    assert time.monotonic() - begun < 0.9


# The server's age


@pytest.mark.parametrize("tag", ["2.5.0", "2.5", "2.17.0", "v2.14.3", "2.6.0-rc.1", "3.0.0", "", "dev"])
def test_a_server_that_hands_accelerators_over_is_taken(tag: str) -> None:
    with FakeKubeflow(tag=tag) as fake:
        assert require_recent(connect(Connection(host=fake.host))) == (tag if tag[-1:].isdigit() else None)


@pytest.mark.parametrize("tag", ["2.3.0", "2.4.1", "2.0.5", "1.8.5"])
def test_a_server_that_drops_accelerators_in_silence_is_refused(tag: str) -> None:
    with FakeKubeflow(tag=tag) as fake:
        server = connect(Connection(host=fake.host))
        assert f"runs Kubeflow Pipelines {tag}, which drops accelerators" in fails(lambda: require_recent(server))


def test_a_server_without_the_old_api_has_no_version_to_tell(fake: FakeKubeflow, server: Server) -> None:
    fake.inject(Fault("GET v1beta1/healthz", status=404))
    assert require_recent(server) is None


# Experiments and versions


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
    text = fails(lambda: api.experiment(server, "digits"))
    assert (
        "did not answer within 0.7 s; the request was not repeated, since the server may still be working on it" in text
    )
    assert len(fake.asked("POST experiments")) == 1


def test_a_pipeline_that_the_server_refuses_says_why(server: Server) -> None:
    assert "(400): no pipeline spec is provided" in fails(lambda: api.upload(server, "small", "platforms: {}"))


def test_a_version_is_found_by_its_ids_until_it_is_deleted(
    fake: FakeKubeflow, server: Server, version: Version
) -> None:
    assert api.find_version(server, version.pipeline_id, version.version_id) == Version(
        version.pipeline_id, version.version_id, version.name
    )
    fake.versions.clear()
    assert api.find_version(server, version.pipeline_id, version.version_id) is None
    assert api.pipeline_spec(server, version.pipeline_id, version.version_id) is None


# Runs


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
    text = fails(
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
    text = fails(
        lambda: api.create_run(
            server, name="r", experiment_id=experiment, version=version, key="k", parameters=PARAMETERS
        )
    )
    assert "no right to create runs in namespace kubeflow (403)" in text and fake.runs == {}


# Recurring runs


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
        assert f"the schedule {made.id}" in (text := fails(lambda call=call: call(server, made.id))) and "(404)" in text


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
    assert complaint in fails(lambda: schedule(server, version, **changes))
    assert fake.recurring_runs == {}
