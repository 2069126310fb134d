"""What a kubelet does for the pods of its node, without images: their containers run as processes of this machine.

A container's command, environment, end and message are real; its image, volumes and limits are not looked at. Fields
and reasons are those of kubernetes, pkg/kubelet at 1.35.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from api import Api, names
from kubernetes import client
from parent import die_with_parent

from pipelines.local import processes

# Whose nodes they are: a label with the agent's name. They lack kwok's annotation, so that it leaves them alone.
LABEL, NAME = "suanli.test/agent", "first"
POLL_S, BEAT_S = 0.1, 10.0
# How much of a message the kubelet keeps.
FILE_CHARACTERS, LOG_CHARACTERS, LOG_LINES = 4096, 2048, 80
CANNOT_START = 128
REFERENCE = re.compile(r"\$\$|\$\(([-._a-zA-Z][-._a-zA-Z0-9]*)\)")
# What the image sets (images/Dockerfile); a container's own values go over it.
IMAGE = {
    "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
    "PYTHONSAFEPATH": "1",
    "PYTHONUNBUFFERED": "1",
    "TF_CPP_MIN_LOG_LEVEL": "2",
}


def node(simulated: Mapping[str, Any], agent: str = NAME) -> dict[str, Any]:
    """A node for an agent, made of one for kwok."""
    metadata = simulated["metadata"]
    return {**simulated, "metadata": {**metadata, "annotations": {}, "labels": {**metadata["labels"], LABEL: agent}}}


class Container:
    """A process in a session and a folder of its own; the folder stands for the container's root."""

    def __init__(self, spec: Mapping[str, Any], folder: Path) -> None:
        self.spec, self.folder = spec, folder
        self.began, self.ended, self.error = _now(), "", ""
        self.process: subprocess.Popen[bytes] | None = None
        self.message_file.parent.mkdir(parents=True)
        self.message_file.touch()  # as the kubelet does before it mounts it
        given = {item["name"]: item.get("value", "") for item in spec.get("env", ())}
        argv = [_expanded(word, given) for word in (*spec.get("command", ()), *spec.get("args", ()))]
        try:
            with self.log.open("wb") as log:
                self.process = subprocess.Popen(
                    argv or ["(the image's own command)"],
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**IMAGE, **self._places(), **given},
                    start_new_session=True,
                    preexec_fn=die_with_parent,
                )
        except OSError as error:
            self.error = str(error)

    def _places(self) -> dict[str, str]:
        """What lies elsewhere than in a container, since its root is a folder here."""
        here = {"HOME": self.folder, "TMPDIR": self.folder, "SUANLI_TERMINATION": self.message_file}
        return {name: str(path) for name, path in here.items()}

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def message_file(self) -> Path:
        return self.folder / self.spec["terminationMessagePath"].lstrip("/")

    def over(self) -> bool:
        """Whether its first process has ended; what that left behind ends with it."""
        if not self.ended and (not self.process or self.process.poll() is not None):
            self.kill()
            self.ended = _now()
        return bool(self.ended)

    def terminate(self) -> None:
        """SIGTERM to the process group, as Argo's emissary hands it on (argo-workflows 4.0, cmd/argoexec)."""
        if self.process:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGTERM)

    def kill(self) -> None:
        while self.process and (pids := processes.members(self.process.pid)):
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)
        if self.process:
            self.process.wait()

    @property
    def exit_code(self) -> int:
        code = self.process.returncode if self.process else CANNOT_START
        return code if code >= 0 else 128 - code

    def status(self) -> dict[str, Any]:
        """What the pod's status says of it."""
        state: dict[str, Any] = {"running": {"startedAt": self.began}}
        if self.over():
            reason = "StartError" if self.error else "Error" if self.exit_code else "Completed"
            times = {"startedAt": self.began, "finishedAt": self.ended}
            state = {"terminated": {"exitCode": self.exit_code, "reason": reason, "message": self._message(), **times}}
        same = {"name": self.spec["name"], "image": self.spec["image"], "imageID": "", "restartCount": 0}
        return {**same, "ready": not self.over(), "started": not self.over(), "state": state}

    def _message(self) -> str:
        if self.error:
            return self.error
        said = self.message_file.read_text(errors="replace") if self.message_file.is_file() else ""
        if not said and self.exit_code and self.spec["terminationMessagePolicy"] == "FallbackToLogsOnError":
            lines = self.log.read_text(errors="replace").splitlines()
            return "\n".join(lines[-LOG_LINES:])[-LOG_CHARACTERS:]
        return said[:FILE_CHARACTERS]


@dataclass
class Work:
    """A pod whose containers were started.

    Attributes:
        containers: one process each.
        began: when, by the monotonic clock.
        asked: when it was asked to end, by that clock; None as long as it may run.
        overdue: whether it was asked because of its deadline.
    """

    containers: list[Container]
    began: float = field(default_factory=time.monotonic)
    asked: float | None = None
    overdue: bool = False

    def look(self, pod: Mapping[str, Any]) -> None:
        """End it where the pod is deleted or overdue: politely, and after its grace without mercy."""
        now = time.monotonic()
        deadline = pod["spec"].get("activeDeadlineSeconds")
        self.overdue = self.overdue or bool(deadline and self.asked is None and now - self.began > deadline)
        grace = pod["metadata"].get("deletionGracePeriodSeconds")
        if grace is None and self.overdue:
            grace = pod["spec"]["terminationGracePeriodSeconds"]
        if grace is None:
            return
        if self.asked is None:
            self.asked = now
            for container in self.containers:
                container.terminate()
        elif now - self.asked > grace:
            self.kill()

    def kill(self) -> None:
        for container in self.containers:
            container.kill()

    def over(self) -> bool:
        return all(container.over() for container in self.containers)

    def status(self) -> dict[str, Any]:
        """The pod's status."""
        over = self.over()
        failed = self.overdue or any(container.over() and container.exit_code for container in self.containers)
        found = {
            "phase": ("Failed" if failed else "Succeeded") if over else "Running",
            "startTime": self.containers[0].began,
            "conditions": [{"type": "Ready", "status": str(not over)}],
            "containerStatuses": [container.status() for container in self.containers],
        }
        if self.overdue:
            told = "Pod was active on the node longer than the specified deadline"
            found |= {"reason": "DeadlineExceeded", "message": told}
        return found


class Agent:
    """Looks after the nodes with its label and the pods that are bound to them."""

    def __init__(self, api: Api, folder: Path, name: str) -> None:
        self.api, self.folder, self.selector = api, folder, f"{LABEL}={name}"
        self.works: dict[str, Work] = {}
        self.beats: dict[str, float] = {}

    def sync(self) -> None:
        """Bring processes in line with pods, and the pods' status in line with the processes."""
        nodes = names(self.api.items("/api/v1/nodes", labelSelector=self.selector))
        for name in nodes:
            self._beat(name)
        bound = self.api.items("/api/v1/pods", fieldSelector="spec.nodeName!=")
        pods = {pod["metadata"]["uid"]: pod for pod in bound if pod["spec"]["nodeName"] in nodes}
        for uid in self.works.keys() - pods.keys():
            self.works.pop(uid).kill()
        for uid, pod in pods.items():
            self._attend(uid, pod)

    def log(self, uid: str) -> str:
        """What the containers of a pod have printed so far."""
        return "".join(path.read_text(errors="replace") for path in sorted(self.folder.glob(f"{uid}/*/log")))

    def stop(self) -> None:
        while self.works:
            self.works.popitem()[1].kill()

    def _beat(self, name: str) -> None:
        """Say that a node lives."""
        if time.monotonic() - self.beats.get(name, -BEAT_S) < BEAT_S:
            return
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": _now()}
        self._patch(f"/api/v1/nodes/{name}/status", {"status": {"conditions": [ready]}})
        self.beats[name] = time.monotonic()

    def _attend(self, uid: str, pod: Mapping[str, Any]) -> None:
        work, deleted = self.works.get(uid), "deletionTimestamp" in pod["metadata"]
        path = "/api/v1/namespaces/{namespace}/pods/{name}".format_map(pod["metadata"])
        if not work and not deleted and pod["status"]["phase"] == "Pending":
            containers = pod["spec"]["containers"]
            work = self.works[uid] = Work([Container(each, self.folder / uid / each["name"]) for each in containers])
            self._patch(f"{path}/status", {"metadata": {"uid": uid}, "status": work.status()})
        elif work:
            work.look(pod)
            if work.over():
                self._patch(f"{path}/status", {"metadata": {"uid": uid}, "status": work.status()})
                del self.works[uid]
        if deleted and uid not in self.works:
            self.api.delete(path)

    def _patch(self, path: str, body: Mapping[str, Any]) -> None:
        """Change what is there; it may be gone meanwhile, or be another one of that name."""
        try:
            self.api.call("PATCH", path, body, content="application/strategic-merge-patch+json")
        except client.ApiException as error:
            if error.status not in {404, 409}:
                raise


@contextmanager
def running(api: Api, folder: Path, name: str = NAME) -> Iterator[Agent]:
    """An agent at work; when the block ends, so do all its processes."""
    agent, stop = Agent(api, folder, name), threading.Event()

    def work() -> None:
        while not stop.wait(POLL_S):
            agent.sync()

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(work)
        try:
            yield agent
        finally:
            stop.set()
            wait([done])
            agent.stop()
            # What went wrong there explains the tests' own failures.
            done.result()


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _expanded(word: str, values: Mapping[str, str]) -> str:
    """Kubernetes' own references, ``$(NAME)``; what is no name of a variable stays, for the shell."""

    def value(match: re.Match[str]) -> str:
        return "$" if match[0] == "$$" else values.get(match[1], match[0])

    return REFERENCE.sub(value, word)
