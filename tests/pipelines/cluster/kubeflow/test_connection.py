import json
import logging
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from kubeflow import FakeKubeflow, Fault

from components.core.errors import StepError
from pipelines.cluster.kubeflow import api
from pipelines.cluster.kubeflow.client import open_client
from pipelines.cluster.kubeflow.connection import VARIABLES, Connection, from_environment
from pipelines.cluster.kubeflow.request import Transport
from pipelines.cluster.kubeflow.server import check_health, connect, version

SECRET = "ey-not-for-your-eyes"


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import kfp

    for variables in VARIABLES.values():
        for variable in variables:
            monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(kfp.Client, "_LOCAL_KFP_CONTEXT", str(tmp_path / "context.json"))


def refused(**flags: Any) -> str:
    with pytest.raises(StepError) as caught:
        from_environment(flags, {})
    assert "\n" not in str(caught.value) and caught.value.kind == "settings"
    return str(caught.value)


def unreachable(connection: Connection) -> str:
    with pytest.raises(StepError) as caught:
        connect(connection)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Where settings come from


@pytest.mark.parametrize(
    ("flags", "environ", "field", "value"),
    [
        ({}, {}, "host", ""),
        ({}, {"SUANLI_HOST": "http://a"}, "host", "http://a"),
        ({}, {"KF_PIPELINES_ENDPOINT": "http://k"}, "host", "http://k"),
        ({}, {"SUANLI_HOST": "http://a", "KF_PIPELINES_ENDPOINT": "http://k"}, "host", "http://a"),
        ({"host": "http://f"}, {"SUANLI_HOST": "http://a"}, "host", "http://f"),
        ({"host": None}, {"SUANLI_HOST": "http://a"}, "host", "http://a"),
        ({}, {"SUANLI_HOST": ""}, "host", ""),
        ({"kube_context": "prod"}, {"SUANLI_HOST": "http://a"}, "host", ""),
        ({"token_file": "/t"}, {"SUANLI_TOKEN": "x"}, "token", None),
        ({}, {"KF_PIPELINES_SA_TOKEN_PATH": "/var/t"}, "token_file", "/var/t"),
        ({}, {"KF_PIPELINES_IAP_OAUTH2_CLIENT_ID": "id"}, "client_id", "id"),
        ({}, {"KF_PIPELINES_UI_ENDPOINT": "http://u/"}, "ui_host", "http://u"),
        ({}, {"SUANLI_VERIFY_SSL": "false"}, "verify_ssl", False),
        ({}, {"SUANLI_TIMEOUT": "5"}, "timeout", 5.0),
    ],
)
def test_a_setting_comes_from_its_flag_or_else_from_the_environment(
    flags: dict[str, Any], environ: dict[str, str], field: str, value: Any
) -> None:
    assert getattr(from_environment(flags, environ), field) == value


def test_every_setting_has_a_variable_and_every_way_of_kfp_a_setting() -> None:
    import inspect

    import kfp

    assert set(VARIABLES) == set(Connection.model_fields)
    ours = set(Connection.model_fields) | {"existing_token", "credentials", "self"}
    assert set(inspect.signature(kfp.Client.__init__).parameters) <= ours


@pytest.mark.parametrize(
    ("given", "host"),
    [
        ("http://localhost:8080", "http://localhost:8080"),
        ("localhost:8080/", "http://localhost:8080"),
        ("127.0.0.1:8888", "http://127.0.0.1:8888"),
        ("kfp.example.com", "https://kfp.example.com"),
        ("https://kfp.example.com/pipeline/#/runs", "https://kfp.example.com/pipeline"),
    ],
)
def test_a_host_is_read_as_people_write_it(given: str, host: str) -> None:
    assert Connection(host=given).host == host


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        ({"host": "ftp://x"}, "--host: must be an address such as http://localhost:8080"),
        ({"host": "http://"}, "--host: must be an address"),
        ({"host": "http://x:99999"}, "--host: must be an address"),
        ({"host": f"http://me:{SECRET}@x"}, "--host: must not hold a user name or password"),
        ({"host": "http://x", "kube_context": "y"}, "host and kube_context exclude each other"),
        ({"token": "x", "token_file": "/y"}, "token and token_file exclude each other"),
        ({"other_client_id": "x"}, "other_client_id and other_client_secret belong together"),
        ({"token": f"{SECRET}\nX-Evil: 1"}, "--token: must be one line of printable ASCII characters"),
        ({"timeout": 0}, "--timeout: Input should be greater than 0"),
        ({"timeout": "soon"}, "--timeout: Input should be a valid number"),
        ({"hots": "x"}, "--hots: Extra inputs are not permitted"),
    ],
)
def test_a_bad_setting_is_one_line_that_names_it(flags: dict[str, Any], complaint: str) -> None:
    text = refused(**flags)
    assert text.startswith(complaint) or complaint in text
    assert SECRET not in text


def test_a_bad_variable_is_called_by_its_name() -> None:
    with pytest.raises(StepError, match=r"^SUANLI_TIMEOUT: "):
        from_environment({}, {"SUANLI_TIMEOUT": "soon"})


def test_without_a_server_the_ways_to_name_one_are_told() -> None:
    text = unreachable(Connection())
    for way in (
        "--host",
        "SUANLI_HOST",
        "kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80",
        "SUANLI_KUBE_CONTEXT",
    ):
        assert way in text


# Being let in


def test_connecting_makes_one_request_and_says_nothing(fake: FakeKubeflow, capsys: pytest.CaptureFixture[str]) -> None:
    server = connect(Connection(host=fake.host))
    assert [request.line for request in fake.requests] == ["GET healthz"]
    assert capsys.readouterr() == ("", "")
    assert (server.host, server.multi_user, server.scope) == (fake.host, False, {})
    assert server.run_link("7") == f"{fake.host}/#/runs/details/7"


def test_the_user_interface_in_front_of_the_server_is_as_good() -> None:
    with FakeKubeflow(ui=True, multi_user=True) as fake:
        server = connect(Connection(host=fake.host, namespace="team-a"))
        assert (server.multi_user, server.scope) == (True, {"namespace": "team-a"})
        assert version(server) == "2.17.0"


def test_a_user_interface_without_its_server_is_told(fake: FakeKubeflow) -> None:
    fake.inject(Fault("GET healthz", status=200, body='{"apiServerReady": false, "frontendTagName": "2.17.0"}'))
    assert "its API server does not" in unreachable(Connection(host=fake.host))


def test_a_token_goes_along_and_is_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    connection = from_environment({}, {"SUANLI_TOKEN": SECRET})
    with FakeKubeflow(token=SECRET) as fake:
        connection = connection.model_copy(update={"host": fake.host})
        server = connect(connection)
        assert fake.requests[0].headers["authorization"] == f"Bearer {SECRET}"
        fake.inject(Fault("GET runs", status=400, body=f'{{"message": "bad header Bearer {SECRET}, {SECRET}"}}'))
        with pytest.raises(StepError) as caught:
            api.list_runs(server)
    shown = [repr(connection), str(connection), repr(server), str(caught.value), repr(connection.model_dump())]
    assert not any(SECRET in text for text in [*shown, caplog.text])
    assert "***" in str(caught.value)


def test_a_token_file_is_read_anew_at_each_request(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("old\n")
    with FakeKubeflow(token="old") as fake:
        server = connect(Connection(host=fake.host, token_file=str(path)))
        fake.token = "new"
        path.write_text("new\n")
        assert api.list_runs(server) == []


def test_a_token_file_that_is_not_there_is_named(fake: FakeKubeflow, tmp_path: Path) -> None:
    missing = tmp_path / "none"
    text = unreachable(Connection(host=fake.host, token_file=str(missing)))
    assert text.startswith(f"the token file {missing} does not exist")


def test_a_token_of_an_hour_is_renewed_when_it_has_aged() -> None:
    with FakeKubeflow(token="first") as fake:
        tokens = iter(["first", "second"])

        def opened() -> Any:
            return open_client(Connection(host=fake.host, token=next(tokens)))

        transport = Transport(opened, address=fake.host, namespace="kubeflow", timeout=2, renewable=True)
        server = check_health(transport)
        fake.token = "second"
        assert api.list_runs(server) == []


def test_cookies_go_along(fake: FakeKubeflow) -> None:
    connect(Connection(host=fake.host, cookies="authservice_session=abc"))
    assert fake.requests[0].headers["cookie"] == "authservice_session=abc"


def test_cookies_that_kfp_keeps_for_a_distribution_are_used(fake: FakeKubeflow, tmp_path: Path) -> None:
    (tmp_path / "context.json").write_text(json.dumps({"client_authentication_cookie": "kept=1"}))
    connect(Connection(host=fake.host))
    assert fake.requests[0].headers["cookie"] == "kept=1"


def test_a_broken_file_of_kfp_is_one_line(fake: FakeKubeflow, tmp_path: Path) -> None:
    (tmp_path / "context.json").write_text("{")
    assert "cannot sign in" in (text := unreachable(Connection(host=fake.host))) and "~/.config/kfp" in text


def test_a_proxy_is_used(fake: FakeKubeflow) -> None:
    connect(Connection(host="http://kfp.invalid", proxy=fake.host))
    assert fake.requests[0].headers["host"] == "kfp.invalid"


def test_in_a_cluster_the_server_is_found_by_its_service_and_the_mounted_token(
    fake: FakeKubeflow, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("mounted")
    connect(Connection(in_cluster=True, proxy=fake.host, token_file=str(tmp_path / "token")))
    headers = fake.requests[0].headers
    assert headers["host"] == "ml-pipeline.kubeflow.svc.cluster.local:8888"
    assert headers["authorization"] == "Bearer mounted"
    # A cluster for one user mounts none, and wants none.
    connect(Connection(in_cluster=True, proxy=fake.host))
    assert "authorization" not in fake.requests[1].headers


def test_a_context_of_kubeconfig_leads_through_the_api_servers_proxy(
    fake: FakeKubeflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": fake.host}}],
        "users": [{"name": "u", "user": {"token": "kube"}}],
        "contexts": [{"name": "prod", "context": {"cluster": "c", "user": "u"}}],
    }
    (tmp_path / "config").write_text(json.dumps(config))
    from kubernetes.config import kube_config

    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "config"))
    server = connect(Connection(kube_context="prod"))
    assert fake.requests[0].line == "GET healthz"
    assert fake.requests[0].headers["authorization"] == "Bearer kube"
    assert api.list_runs(server) == []
    assert "no context 'dev' in kubeconfig" in unreachable(Connection(kube_context="dev"))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run([*command.split(), "-keyout", path, "-out", f"{path}.crt"], check=True, capture_output=True)
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


def test_a_certificate_is_checked_unless_told_otherwise(certificate: Path) -> None:
    with FakeKubeflow(certificate=certificate) as fake:
        text = unreachable(Connection(host=fake.host))
        assert "certificate is not trusted" in text and "SUANLI_SSL_CA_CERT" in text
        assert connect(Connection(host=fake.host, ssl_ca_cert=f"{certificate}.crt")).host == fake.host
        assert connect(Connection(host=fake.host, verify_ssl=False)).host == fake.host


# What goes wrong


def test_a_server_that_is_down_is_told_with_the_way_to_reach_it() -> None:
    with FakeKubeflow() as fake:
        host = fake.host
    text = unreachable(Connection(host=host))
    assert f"no server answers at {host}: Connection refused" in text and "kubectl port-forward" in text


def test_a_host_that_no_name_server_knows_is_told() -> None:
    assert "no server answers at http://kfp.invalid" in unreachable(Connection(host="http://kfp.invalid"))


def test_a_server_that_hangs_is_given_up_in_time(fake: FakeKubeflow) -> None:
    fake.inject(Fault("GET healthz", act="hang", times=9))
    begun = time.monotonic()
    assert f"{fake.host} did not answer within 0.5 s" in unreachable(Connection(host=fake.host, timeout=0.5))
    assert time.monotonic() - begun < 2


@pytest.mark.parametrize("body", ["<html>Sign in</html>", "[]", "3", '{"hello": "world"}', ""])
def test_another_server_than_kubeflow_is_told(fake: FakeKubeflow, body: str) -> None:
    fake.inject(Fault("GET healthz", status=200, body=body, headers={"Content-Type": "text/html"}, times=9))
    assert "Kubeflow Pipelines" in unreachable(Connection(host=fake.host))


def test_a_protocol_that_is_not_http_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        host = f"http://127.0.0.1:{listening.getsockname()[1]}"
        assert host in unreachable(Connection(host=host, timeout=2))
        thread.join()


def test_naming_a_connection_imports_no_kfp() -> None:
    script = """
import sys
from pipelines.cluster.kubeflow import connection, runs
print("kfp" in sys.modules, "urllib3" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
