"""The server over real HTTP: one line for each failure, another try where it is safe, and a version that is recent."""

import time
from email.utils import formatdate
from typing import Any

import pytest
from kubeflow import FakeKubeflow, Fault
from refusals import refused

from pipelines.cluster.kubeflow import api
from pipelines.cluster.kubeflow.connection import Connection
from pipelines.cluster.kubeflow.server import Server, connect, require_recent

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
    text = refused(lambda: api.list_runs(server))
    assert text.startswith("cannot list runs: "), text
    assert [part for part in parts if part not in text] == [], text
    assert time.monotonic() - begun < 2.5


def test_a_body_that_never_ends_is_given_up_in_time(fake: FakeKubeflow, server: Server) -> None:
    for number in range(20):
        api.experiment(server, f"experiment {number}")
    fake.inject(Fault("GET experiments", act="slow", after=True))
    begun = time.monotonic()
    assert "did not answer within 0.7 s" in refused(lambda: api.experiment(server, "experiment 3"))
    assert time.monotonic() - begun < 1.5


@pytest.mark.parametrize("body", ["{}", '{"display_name": "x"}'])
def test_an_object_without_its_id_is_not_believed(fake: FakeKubeflow, server: Server, body: str) -> None:
    fake.inject(Fault("GET runs/7", status=200, body=body))
    assert "it has no run_id" in refused(lambda: api.get_run(server, "7"))


def test_the_servers_own_words_come_through(server: Server) -> None:
    assert "cannot read the run 7: " in (text := refused(lambda: api.get_run(server, "7")))
    assert "(404): Run 7 not found;" in text


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
    refused(lambda: api.list_runs(server))
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
    refused(lambda: api.list_runs(server))
    assert time.monotonic() - begun < 0.5 and len(fake.asked("GET runs")) == 1


def test_repetitions_stay_within_the_time_limit(fake: FakeKubeflow, server: Server) -> None:
    fake.inject(Fault("GET runs", status=503, times=99))
    begun = time.monotonic()
    refused(lambda: api.list_runs(server))
    assert time.monotonic() - begun < 0.9


@pytest.mark.parametrize("tag", ["2.5.0", "2.5", "2.17.0", "v2.14.3", "2.6.0-rc.1", "3.0.0", "", "dev"])
def test_a_server_that_hands_accelerators_over_is_taken(tag: str) -> None:
    with FakeKubeflow(tag=tag) as fake:
        assert require_recent(connect(Connection(host=fake.host))) == (tag if tag[-1:].isdigit() else None)


@pytest.mark.parametrize("tag", ["2.3.0", "2.4.1", "2.0.5", "1.8.5"])
def test_a_server_that_drops_accelerators_in_silence_is_refused(tag: str) -> None:
    with FakeKubeflow(tag=tag) as fake:
        server = connect(Connection(host=fake.host))
        assert f"runs Kubeflow Pipelines {tag}, which drops accelerators" in refused(lambda: require_recent(server))


def test_a_server_without_the_old_api_has_no_version_to_tell(fake: FakeKubeflow, server: Server) -> None:
    fake.inject(Fault("GET v1beta1/healthz", status=404))
    assert require_recent(server) is None
