"""Publishing and rolling back on a disk that has room for the first n pages of what they write, for every n."""

import errno
from collections.abc import Callable
from pathlib import Path

from small_versions import written

from components import registry
from components.registry import contents, publishing
from tests.campaigns.disk import small_disk

PAGE = 4096


def full_at_every_page(disk: small_disk.Disk, model: str, change: Callable[[], object], before: str) -> int:
    """Make a change with ever more room until it succeeds; the pages that it took."""
    for pages in range(100):
        disk.fill(leave=pages * PAGE)
        try:
            change()
            return pages
        except OSError as error:
            assert error.errno == errno.ENOSPC
        finally:
            disk.empty()
        assert registry.state(model) == before
        assert contents.verify(model).faults == []
        assert not list(Path(model).rglob(".*.*")), "something half-written still takes space"
    raise AssertionError("it never succeeds")


def test_whatever_write_finds_no_space_the_old_champion_stays_and_the_same_call_succeeds_later(
    disk: small_disk.Disk, tmp_path: Path
) -> None:
    model = str(disk.folder / "registry" / "model")
    registry.publish(model, written(tmp_path / "one", "one"), "v1", "")
    two = written(tmp_path / "two", "two" * PAGE)
    assert full_at_every_page(disk, model, lambda: registry.publish(model, two, "v2", "v1"), "v1") > 5
    assert full_at_every_page(disk, model, lambda: publishing.rollback(model), "v2") > 0
    assert [entry.state for entry in contents.list_versions(model)] == ["champion", "rolled back"]
    assert contents.verify(model) == contents.Verification(model, 2, [], [])
