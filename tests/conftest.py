"""What every test may ask for."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import storage_emulator

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite-golden", action="store_true", help="write the golden files anew (make golden)")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with the file of that name in tests/golden, or write it there on request."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--rewrite-golden"):
            path.write_text(text)
        assert path.is_file(), f"no golden file {name}: run make golden, and read what it wrote"
        assert text == path.read_text(), (
            f"{name} differs: where that is intended, run make golden and read the difference"
        )

    return compare


@pytest.fixture(scope="session")
def cache_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One SUANLI_CACHE_HOME for all tests that plan, in every process: the first profile of a model takes seconds."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def emulator() -> Iterator[storage_emulator.Emulator]:
    """Cloud Storage on this machine."""
    with storage_emulator.running() as running:
        yield running


@pytest.fixture
def bucket(emulator: storage_emulator.Emulator, monkeypatch: pytest.MonkeyPatch) -> str:
    """The ``gs://`` place of an empty bucket, which this process and its children find."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator.url)
    return emulator.create_bucket(f"test-{uuid4().hex[:12]}")
