from pathlib import Path

import pytest


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache_home: Path) -> Path:
    """An empty working folder, whose runs are below it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SUANLI_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("SUANLI_CACHE_HOME", str(cache_home))
    monkeypatch.delenv("SUANLI_DEBUG", raising=False)
    return tmp_path
