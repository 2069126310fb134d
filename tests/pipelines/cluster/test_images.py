"""Image look-ups against a registry of the OCI distribution interface on loopback."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipelines.cluster import images

THERE = "/v2/team/suanli-cpu/manifests/train-1"
DIGEST = f"sha256:{'0123456789abcdef' * 4}"
BASE = "org.opencontainers.image.base.digest"
DOCUMENTS = {
    THERE: {"config": {"digest": "sha256:c0"}},
    "/v2/team/suanli-cpu/blobs/sha256:c0": {"config": {"Labels": {BASE: "sha256:base1"}}},
    "/v2/team/suanli-cpu/manifests/index-1": {"manifests": []},
}
ANSWERS = {THERE: 200, "/v2/team/private/manifests/1": 401, "/v2/team/broken/manifests/1": 418}


class Registry(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        asked_well = "application/vnd.oci.image.manifest.v1+json" in self.headers["Accept"]
        self.send_response(ANSWERS.get(self.path, 404) if asked_well else 400)
        if self.path == THERE:
            self.send_header("Docker-Content-Digest", DIGEST)
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(200 if self.path in DOCUMENTS else 404)
        self.end_headers()
        self.wfile.write(json.dumps(DOCUMENTS.get(self.path)).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def registry() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Registry) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("image", "state", "reason"),
    [
        ("team/suanli-cpu:train-1", "present", ""),
        ("team/suanli-cpu:train-2", "absent", ""),
        ("team/private:1", "unknown", "requires credentials"),
        ("team/broken:1", "unknown", "answers 418"),
    ],
)
def test_a_registry_is_asked(image: str, state: str, reason: str, registry: str) -> None:
    answer = images.look_up(f"{registry}/{image}")
    assert answer.state == state and reason in answer.reason


def test_the_digest_of_a_tag_is_told(registry: str) -> None:
    assert images.look_up(f"{registry}/team/suanli-cpu:train-1") == ("present", "", DIGEST)
    assert images.look_up(f"{registry}/team/suanli-cpu:train-2").digest == ""


@pytest.mark.parametrize(
    ("image", "name", "value"),
    [
        ("team/suanli-cpu:train-1", BASE, "sha256:base1"),
        ("team/suanli-cpu:train-1", "another", ""),
        ("team/suanli-cpu:index-1", BASE, ""),
        ("team/absent:1", BASE, ""),
    ],
)
def test_a_label_is_read_from_the_registry(image: str, name: str, value: str, registry: str) -> None:
    assert images.label(f"{registry}/{image}", name) == value


def test_a_name_without_a_registry_is_not_looked_up() -> None:
    assert images.look_up("suanli-python-cpu:train-1") == ("unknown", "their names include no registry", "")


def test_a_registry_that_is_down_is_said() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{unused.getsockname()[1]}"
    assert images.look_up(f"{host}/a:1").reason.startswith(f"{host} does not answer")
