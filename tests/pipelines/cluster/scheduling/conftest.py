from collections.abc import Iterator

import pytest
from watched_schedules import Watched

from pipelines.cluster.kubeflow.connection import Connection
from pipelines.cluster.kubeflow.server import Server, connect
from pipelines.cluster.scheduling import schedules


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedules, "POLL_S", 0.05)


@pytest.fixture
def fake() -> Iterator[Watched]:
    with Watched() as server:
        yield server


@pytest.fixture
def server(fake: Watched) -> Server:
    return connect(Connection(host=fake.host))
