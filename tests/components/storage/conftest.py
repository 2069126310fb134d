from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faulty_proxy
import numpy as np
import pytest

from components import storage


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file below another, an empty one, and one that is sent and fetched in parts."""
    random = np.random.default_rng(0)
    files = {
        "a.txt": b"a",
        "deep/er/b.bin": random.bytes(300_000),
        "deep/empty": b"",
        "large.bin": random.bytes(9 << 20),
    }
    for name, content in files.items():
        (tmp_path / "from" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "from" / name).write_bytes(content)
    return tmp_path / "from"


@pytest.fixture(params=["local", "cloud"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A place for folders, on disk and in Cloud Storage."""
    return str(tmp_path / "root") if request.param == "local" else str(request.getfixturevalue("bucket"))


@pytest.fixture
def place(root: str) -> str:
    """A place where there is no folder yet."""
    return storage.join(root, "below", "folder")


@pytest.fixture
def proxy(emulator: Any, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[faulty_proxy.Proxy]:
    """A proxy before the emulator, which does nothing yet."""
    with faulty_proxy.running(emulator.url, seed=0) as running:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", running.url)
        yield running
