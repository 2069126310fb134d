"""What people's folders hold beside their data."""

import os
from pathlib import Path

import pytest

from components.core import folders
from components.core.errors import StepError
from components.tasks import text_generation
from components.tasks.contract import Task
from components.text import texts

LEFT = [
    *("._a.png", ".DS_Store", "Thumbs.db", "desktop.ini", "~$notes.txt"),
    *("__MACOSX/a.png", "lost+found/a.png", "@eaDir/a.png", ".ipynb_checkpoints/a.png", "$RECYCLE.BIN/a.png"),
    *("System Volume Information/a.png", ".git/a.png", "#recycle/a.png"),
]


@pytest.mark.parametrize("place", ["", "deep/deeper"])
@pytest.mark.parametrize("name", LEFT)
def test_what_systems_leave_is_passed_over_at_any_depth(tmp_path: Path, name: str, place: str) -> None:
    for path in (tmp_path / place / "a.png", tmp_path / place / name):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    assert list(folders.walk(tmp_path)) == [(tmp_path / place / "a.png", "")]


def test_what_is_not_a_file_comes_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/a").write_text("x")
    for name, target in (("file", "folder/a"), ("gone", "/nowhere/a"), ("circle", "circle"), ("linked", "folder")):
        (tmp_path / name).symlink_to(target)
    os.mkfifo(tmp_path / "pipe")
    found = {path.name: problem for path, problem in folders.walk(tmp_path, tmp_path)}
    assert found == {
        "a": "",
        "file": "",
        "gone": folders.DANGLING,
        "circle": folders.DANGLING,
        "linked": folders.LINKED_FOLDER,
        "pipe": folders.SPECIAL,
    }


def test_text_readers_pass_over_it_too(tmp_path: Path) -> None:
    for name in ("b.txt", "deep/a.TXT", "._b.txt", "__MACOSX/b.txt", "@eaDir/b.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "c.txt").symlink_to("/nowhere/c.txt")
    expected = [(str(tmp_path / "b.txt"), b"b.txt"), (str(tmp_path / "deep/a.TXT"), b"deep/a.TXT")]
    assert list(texts.read(str(tmp_path), 1000)) == expected
    serving = Task("text_generation", {}, text_generation.Settings()).serving
    assert list(serving.read_inputs(str(tmp_path))) == expected


def test_a_link_out_of_a_folder_is_refused_if_none_may_lead_there(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a").symlink_to(tmp_path / "secret")
    assert [path.name for path, _ in folders.walk(tmp_path / "data")] == ["a"]
    with pytest.raises(StepError, match="data/a is a link that leads out of"):
        list(folders.walk(tmp_path / "data", tmp_path / "data"))
