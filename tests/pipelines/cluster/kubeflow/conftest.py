"""The server that every test of this folder talks to."""

from collections.abc import Iterator

import pytest
from kubeflow import FakeKubeflow

from pipelines.cluster.kubeflow import server


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "LOOKUP_PAUSES_S", (0.0, 0.05))


@pytest.fixture
def fake() -> Iterator[FakeKubeflow]:
    with FakeKubeflow() as fake:
        yield fake
