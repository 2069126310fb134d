"""Images pushed to a real registry (Debian's docker-registry) on loopback, and found there by submit's preflight."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.cluster import images
from pipelines.images import names
from pipelines.images.__main__ import main

SERVER = "docker-registry"
CONFIGURATION = """version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: {address}}}
"""
START_S = 20.0


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """A registry's address; it is stopped at the end."""
    if not shutil.which(SERVER):
        reason = f"{SERVER} is not installed: apt-get install {SERVER}"
        pytest.fail(reason) if os.environ.get("SUANLI_REQUIRE_IMAGES") else pytest.skip(reason)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / "registry.yaml").write_text(
        CONFIGURATION.format(folder=tmp_path / "registry", address=f"127.0.0.1:{port}")
    )
    server = subprocess.Popen([SERVER, "serve", str(tmp_path / "registry.yaml")])
    try:
        deadline = time.monotonic() + START_S
        while images.look_up(f"127.0.0.1:{port}/nothing:here").state != "absent":
            assert server.poll() is None and time.monotonic() < deadline, "the registry does not start"
            time.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(START_S)


@pytest.mark.usefixtures("image")
def test_what_is_pushed_is_what_a_submitted_pipeline_will_pull(
    program: str, registry: str, capfd: pytest.CaptureFixture[str]
) -> None:
    wanted = [f"{registry}/team/suanli-python-cpu:{tag}" for tag in names.tags("cpu")]
    assert {images.look_up(name).state for name in wanted} == {"absent"}
    try:
        assert main(["push", "--registry", f"{registry}/team"]) == 0
        assert {images.look_up(name).state for name in wanted} == {"present"}
        assert f'image_prefix = "{registry}/team/suanli-python"' in capfd.readouterr().out
        # A tag that is there stays as it is.
        assert main(["push", "--registry", f"{registry}/team"]) == 0
        assert capfd.readouterr().out.count("there already") == len(wanted)
    finally:
        subprocess.run([program, "rmi", *wanted], capture_output=True, check=False)
