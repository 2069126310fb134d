from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.campaigns.disk import small_disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[small_disk.Disk]:
    """A disk of a MiB."""
    if reason := small_disk.refusal(tmp_path / "try"):
        pytest.skip(reason)
    with small_disk.mounted(tmp_path / "disk", 1024) as mounted:
        yield mounted
