from collections.abc import Iterator

import pytest
from watched_schedules import Watched

from pipelines.cluster.kubeflow.connection import Connection
from pipelines.cluster.kubeflow.server import Server, connect


@pytest.fixture
def fake() -> Iterator[Watched]:
    with Watched() as server:
        yield server


@pytest.fixture
def server(fake: Watched) -> Server:
    return connect(Connection(host=fake.host))
