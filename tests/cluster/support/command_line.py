"""``suanli`` as a user has it: the installed command in a folder with a target, its cluster given by a kubeconfig."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import steps
import team_target
from api import Api
from kubeflow import FakeKubeflow
from kubeflow_namespace import NAMESPACE
from kubernetes import client

from pipelines.cluster.kube.stuck import NODE_NAME, RUN, RUNNING_WORKFLOWS
from pipelines.hardware import pods
from pipelines.hardware.pods import Pod

SUANLI = Path(sys.executable).parent / "suanli"
# What a command may take: its own limits for one server that is silent, and the time in which it starts on a busy
# machine.
BOUND_S = 30.0


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str
    seconds: float

    def lines(self, level: str) -> list[str]:
        """The results of a level, without it."""
        return [line[6:] for line in self.out.splitlines() if line.startswith(f"{level:5} ")]

    def line(self, level: str, what: str) -> str:
        """The one result of a level about something."""
        found = [line for line in self.lines(level) if line.startswith(f"{what}: ")]
        assert len(found) == 1, (level, what, self)
        return found[0].removeprefix(f"{what}: ")


@dataclass
class Desk:
    """Where somebody works.

    Attributes:
        folder: with ``targets.toml``.
        cache: where the planner keeps profiles; the first one takes seconds.
        kubeflow: the target's server.
        storage: the address of the emulator that has the target's bucket.
    """

    folder: Path
    cache: Path
    kubeflow: FakeKubeflow
    storage: str

    def __post_init__(self) -> None:
        (self.folder / "targets.toml").write_text(team_target.text(self.kubeflow.host, "suanli-runner"))

    def run(self, kubeconfig: Path, *words: str) -> Done:
        began = time.monotonic()
        done = subprocess.run(
            [str(SUANLI), *words],
            cwd=self.folder,
            env={
                "PATH": os.defpath,
                "HOME": str(self.folder),
                "KUBECONFIG": str(kubeconfig),
                "SUANLI_CACHE_HOME": str(self.cache),
                "SUANLI_TIMEOUT": "5",
                "STORAGE_EMULATOR_HOST": self.storage,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        return Done(done.returncode, done.stdout, done.stderr, time.monotonic() - began)

    def doctor(self, kubeconfig: Path, *words: str) -> Done:
        return self.run(kubeconfig, "doctor", "--target", "gke", *words)

    def submit(self, kubeconfig: Path, *words: str, accelerator: str = "l4") -> Done:
        ours = ("submit", "digits", "--target", "gke", "--accelerator", accelerator, "--poll", "0.2")
        return self.run(kubeconfig, *ours, *words)


@contextmanager
def making_pods(
    kubeflow: FakeKubeflow, api: Api, change: Callable[[Pod], Pod] = lambda pod: pod, before: Callable[[], None] = list
) -> Iterator[None]:
    """Do as Kubeflow and Argo do with each run that is submitted meanwhile: hand train's pod to the API server, and
    keep its refusal in the workflow.

    Args:
        change: what goes wrong with the pod on its way.
        before: what happens to the cluster first.
    """
    over, faults = threading.Event(), list[BaseException]()

    def work() -> None:
        done: set[str] = set()
        try:
            while not over.wait(0.05):
                for run in set(kubeflow.runs) - done:
                    done.add(run)
                    before()
                    kubeflow.step(run, "train", "PENDING")
                    _make(api, run, change(_train(kubeflow.runs[run])))
        except BaseException as fault:
            faults.append(fault)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert not faults, faults


def _train(run: Mapping[str, Any]) -> Pod:
    """The pod of train by the compiled file and a run's parameters."""
    parameters = run["runtime_config"]["parameters"]
    return next(pod for pod in pods.from_compiled(steps.submitted().text, parameters) if pod.step == "train")


def _make(api: Api, run: str, pod: Pod) -> None:
    try:
        api.create(steps.manifest(pod, NAMESPACE, run))
    except client.ApiException as error:
        api.create(workflow(run, str(json.loads(error.body)["message"])))


def workflow(run: str, message: str) -> dict[str, Any]:
    """A run whose pod the API server refused, as Argo keeps it."""
    flow = f"training-{run}"
    node = {"id": flow, "name": f"{flow}.root.train.executor", "displayName": "executor", "type": "Pod"}
    key, _, value = RUNNING_WORKFLOWS.partition("=")
    head = {"labels": {RUN: run, key: value}, "annotations": {NODE_NAME: flow}}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": flow, "namespace": NAMESPACE, **head},
        "spec": {"entrypoint": "entrypoint"},
        "status": {"nodes": {flow: {**node, "phase": "Pending", "message": message}}},
    }
