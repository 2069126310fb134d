"""The process that ends a run's containers: ``python -m pipelines.local.reaper LIFELINE SOCKET [PODMAN]``.

Containers are children of the engine, so no signal to the run's processes reaches them. LIFELINE is the read end of a
pipe that carries the run's folder and closes when the command ends, even if it is killed.
"""

import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from docker.errors import DockerException

from pipelines.local import container_engine

GRACE_S = 5.0


def main(lifeline: int, socket: str, podman: str) -> int:
    """Start podman's service if a program for it is given, print whether it answers, and wait for the end."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    with _service(socket, podman) as problem:
        print(problem or container_engine.READY, flush=True)
        with open(lifeline) as pipe:  # a file descriptor
            run = pipe.read()
        if run and not problem:
            with suppress(OSError, DockerException):  # the engine has gone, and its containers with it
                container_engine.end_containers(socket, run)
    return 0


@contextmanager
def _service(socket: str, podman: str) -> Iterator[str]:
    """podman's service on the socket, whose folder holds nothing else; yields why it does not answer, if so."""
    if not podman:
        yield ""
        return
    with tempfile.TemporaryFile() as errors:
        service = subprocess.Popen(
            [podman, "system", "service", "--time=0", f"{container_engine.UNIX}{socket}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
        try:
            if container_engine.wait_for(socket, service):
                yield ""
            else:
                errors.seek(0)
                yield " ".join(errors.read().decode(errors="replace").split())[-300:] or "it does not answer"
        finally:
            service.terminate()
            with suppress(subprocess.TimeoutExpired):
                service.wait(GRACE_S)
            service.kill()
            service.wait()
            shutil.rmtree(Path(socket).parent, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
