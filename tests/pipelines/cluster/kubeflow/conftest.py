"""The server that every test of this folder talks to."""

from collections.abc import Callable, Iterator
from typing import Any

import kubeflow_pipeline
import pytest
from kubeflow import FakeKubeflow

from pipelines.cluster.kubeflow import api, runs
from pipelines.cluster.kubeflow import server as server_module
from pipelines.cluster.kubeflow.connection import Connection
from pipelines.cluster.kubeflow.records import Run, Version
from pipelines.cluster.kubeflow.server import Server, connect


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "LOOKUP_PAUSES_S", (0.0, 0.05))


@pytest.fixture
def fake() -> Iterator[FakeKubeflow]:
    with FakeKubeflow() as fake:
        yield fake


@pytest.fixture
def server(fake: FakeKubeflow) -> Server:
    return connect(Connection(host=fake.host, timeout=1))


@pytest.fixture
def version(server: Server) -> Version:
    return api.upload(server, "small", kubeflow_pipeline.compiled())


@pytest.fixture
def submit(server: Server, version: Version) -> Callable[..., Run]:
    experiment = api.experiment(server, "digits")

    def submit(**changes: Any) -> Run:
        values = {"name": "digits-1", "parameters": kubeflow_pipeline.PARAMETERS, **changes}
        return runs.submit(server, version=version, experiment_id=experiment, **values)

    return submit
