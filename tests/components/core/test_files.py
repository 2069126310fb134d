import os
from pathlib import Path

import pytest

from components.core.errors import StepError
from components.core.files import digest_of, open_lock, write_atomically


def test_a_digest_tells_names_and_contents(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a").write_text("a")
    before = digest_of(folder)
    (folder / "deep" / "a").rename(folder / "deep" / "b")
    renamed = digest_of(folder)
    (folder / "deep" / "b").write_text("x")
    assert len({before, renamed, digest_of(folder)}) == 3


def test_a_digest_is_the_same_in_another_place(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("text")
    assert digest_of(tmp_path / "one") == digest_of(tmp_path / "two")


def test_writing_leaves_nothing_beside_the_file(tmp_path: Path) -> None:
    write_atomically(tmp_path / "file", "old")
    write_atomically(tmp_path / "file", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "new"


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    write_atomically(tmp_path / "file", "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(tmp_path / "file", "new \udcff")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "old"


def test_a_write_is_on_the_disk_before_its_name_and_its_name_before_it_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, fsync = [], os.fsync

    def noted(descriptor: int) -> None:
        seen.append((Path(f"/proc/self/fd/{descriptor}").readlink(), (tmp_path / "file").exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    write_atomically(tmp_path / "file", "text")
    (temporary, before), (folder, after) = seen
    assert temporary.parent == tmp_path and not before
    assert (folder, after) == (tmp_path, True)


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for name in (f".file.{os.getpid()}", "file"):
        (tmp_path / name).symlink_to(victim)
    write_atomically(tmp_path / "file", "new")
    assert victim.read_text() == "precious"
    assert not (tmp_path / "file").is_symlink() and (tmp_path / "file").read_text() == "new"


def test_a_lock_is_no_link_and_keeps_what_is_in_its_file(tmp_path: Path) -> None:
    (tmp_path / "own").write_text("kept")
    with open_lock(tmp_path / "own"), open_lock(tmp_path / "new"):
        assert (tmp_path / "own").read_text() == "kept" and (tmp_path / "new").is_file()
    (tmp_path / "link").symlink_to(tmp_path / "absent")
    with pytest.raises(StepError, match=r"link is a link, a file to lock was expected; remove it"):
        open_lock(tmp_path / "link")
    assert not (tmp_path / "absent").exists()
