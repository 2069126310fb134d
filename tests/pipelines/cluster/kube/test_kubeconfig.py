import ssl
import stat
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from kubernetes_api import FakeKubernetes
from kubernetes_cluster import furnished, reach

from components.core.errors import StepError
from pipelines.cluster.kube import kubeconfig
from pipelines.cluster.kube.access import connect


@pytest.fixture
def cluster() -> Iterator[FakeKubernetes]:
    with furnished() as server:
        yield server


def test_a_kubeconfig_leads_to_its_current_context_and_to_another(cluster: FakeKubernetes, tmp_path: Path) -> None:
    here, there = reach(cluster, tmp_path), reach(cluster, tmp_path, "elsewhere")
    assert (here.context, here.namespace, here.host, here.gke) == ("here", "kubeflow", cluster.host, True)
    assert (there.context, there.namespace) == ("elsewhere", "default")
    assert cluster.token not in repr(here)


def test_several_kubeconfigs_are_read_as_one(cluster: FakeKubernetes, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text(yaml.safe_dump({"current-context": "elsewhere"}))
    paths = f"{other}:{cluster.kubeconfig(tmp_path)}:{tmp_path / 'absent'}"
    found = connect("here", environ={"KUBECONFIG": paths})
    assert found
    assert found.context == "here"


def document(**changes: Any) -> dict[str, Any]:
    good = {
        "current-context": "here",
        "clusters": [{"name": "fake", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "me", "user": {"token": "t"}}],
        "contexts": [{"name": "here", "context": {"cluster": "fake", "user": "me"}}],
    }
    return {key: value for key, value in {**good, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    ("text", "context", "words"),
    [
        ("", "", "is not a usable kubeconfig"),
        ("a: [", "", "is not a usable kubeconfig"),
        ("- a list", "", "is not a usable kubeconfig"),
        (document(contexts="none"), "", "is not a usable kubeconfig"),
        (document(contexts=None), "", "no context 'here'"),
        (document(**{"current-context": None}), "", "has no current context"),
        (document(), "hre", "no context 'hre' in .*; did you mean here?"),
        (document(clusters=None), "", "names a cluster without a server"),
        (document(clusters=[{"name": "fake", "cluster": {}}]), "", "names a cluster without a server"),
        (
            document(clusters=[{"name": "fake", "cluster": {"server": "https://x", "certificate-authority": "gone"}}]),
            "",
            "is not a usable kubeconfig: .*gone",
        ),
        (document(), "", "no answer from the cluster at http://127.0.0.1:1: connection refused"),
        (
            document(clusters=[{"name": "fake", "cluster": {"server": "http://cluster.invalid"}}]),
            "",
            "its name is not known",
        ),
    ],
)
def test_a_bad_kubeconfig_is_one_line(tmp_path: Path, text: Any, context: str, words: str) -> None:
    path = tmp_path / "config"
    path.write_text(text if isinstance(text, str) else yaml.safe_dump(text))
    started = time.monotonic()
    with pytest.raises(StepError, match=words) as caught:
        connect(context, environ={"KUBECONFIG": str(path)})
    assert "\n" not in str(caught.value)
    assert time.monotonic() - started < 10


def test_a_kubeconfig_that_was_named_must_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StepError, match="KUBECONFIG names no existing file"):
        connect(environ={"KUBECONFIG": str(tmp_path / "absent")})
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(StepError, match="no kubeconfig for the context 'prod'"):
        connect("prod", environ={})
    with pytest.raises(StepError, match="no usable service account token"):
        connect(environ={"KUBERNETES_SERVICE_HOST": "10.0.0.1"})


def certificate(folder: Path) -> ssl.SSLContext:
    """TLS for 127.0.0.1, signed by itself; the certificate is left in ``ca.crt``."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "fake")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.crt").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    (folder / "key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.crt", folder / "key")
    return context


def test_inside_a_pod_its_service_account_leads_to_the_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(kubeconfig, "IN_CLUSTER", tmp_path)
    (tmp_path / "namespace").write_text("kubeflow\n")
    (tmp_path / "token").write_text("a-token")
    with FakeKubernetes(secure=certificate(tmp_path)) as server:
        host, _, port = server.host.removeprefix("https://").partition(":")
        found = connect(environ={"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port})
    assert found
    assert (found.context, found.namespace, found.gke) == ("in-cluster", "kubeflow", True)


def test_a_certificate_that_nobody_vouches_for_is_one_line(tmp_path: Path) -> None:
    with (
        FakeKubernetes(secure=certificate(tmp_path)) as server,
        pytest.raises(StepError, match="its certificate is not accepted") as caught,
    ):
        connect(environ={"KUBECONFIG": str(server.kubeconfig(tmp_path))})
    assert "\n" not in str(caught.value)


def plugin(folder: Path, body: str) -> dict[str, Any]:
    """A credentials plugin that is this Python script; it may use ``answer``."""
    path = folder / "plugin"
    path.write_text(
        f"#!{sys.executable}\nimport json, os, sys, time\n"
        "def answer(**status):\n"
        "    print(json.dumps({'apiVersion': 'client.authentication.k8s.io/v1', 'kind': 'ExecCredential', "
        "'status': status}))\n" + body
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return {"apiVersion": "client.authentication.k8s.io/v1", "command": "./plugin", "provideClusterInfo": True}


def test_a_credentials_plugin_is_asked(cluster: FakeKubernetes, tmp_path: Path) -> None:
    body = (
        "info = json.loads(os.environ['KUBERNETES_EXEC_INFO'])\n"
        "assert info['spec']['cluster']['server'].startswith('http') and not info['spec']['interactive']\n"
        "assert os.environ['REGION'] == 'x' and sys.argv[1:] == ['token']\n"
        f"answer(token={cluster.token!r})"
    )
    user = {**plugin(tmp_path, body), "args": ["token"], "env": [{"name": "REGION", "value": "x"}]}
    path = cluster.kubeconfig(tmp_path, exec=user)
    before = path.read_text()
    assert connect(environ={"KUBECONFIG": str(path)})
    assert path.read_text() == before


def test_credentials_that_have_expired_are_asked_for_again(cluster: FakeKubernetes, tmp_path: Path) -> None:
    body = (
        "open('count', 'a').write('x')\n"
        "first = os.path.getsize('count') == 1\n"
        "answer(token='a-token' if first else 'another', "
        "expirationTimestamp='2020-01-01T00:00:00Z' if first else '2100-01-01T00:00:00Z')"
    )
    cluster.token = "another"
    assert connect(environ={"KUBECONFIG": str(cluster.kubeconfig(tmp_path, exec=plugin(tmp_path, body)))})
    assert (tmp_path / "count").read_text() == "xx"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("sys.exit('your login has expired')", r"plugin ./plugin failed \(1\): your login has expired; log in again"),
        ("print('hello')", "returned no credentials"),
        ("answer()", "returned no credentials"),
        ("time.sleep(20)", "gave no answer within 0.5 s"),
    ],
)
def test_a_credentials_plugin_that_fails_is_one_line(
    cluster: FakeKubernetes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, words: str
) -> None:
    monkeypatch.setattr(kubeconfig, "PLUGIN_TIMEOUT_S", 0.5)
    path = cluster.kubeconfig(tmp_path, exec=plugin(tmp_path, body))
    with pytest.raises(StepError, match=words):
        connect(environ={"KUBECONFIG": str(path)})


def test_an_absent_credentials_plugin_is_named_with_its_hint(cluster: FakeKubernetes, tmp_path: Path) -> None:
    user = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "no-such-plugin",
        "installHint": "gcloud components install it",
    }
    path = cluster.kubeconfig(tmp_path, exec=user)
    with pytest.raises(StepError, match=r"no-such-plugin cannot be run: .*; install it.*gcloud components install it"):
        connect(environ={"KUBECONFIG": str(path)})
