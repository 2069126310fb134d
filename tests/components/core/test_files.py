from pathlib import Path

import pytest

from components.core.files import digest_of, write_atomically


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
