"""What stands for the state of data, as components.data.freshness says it."""

import os
import subprocess
import time
from pathlib import Path

import pytest
from picture_folders import pictures

from components import data
from components.data import DataSettings, digits, folder_state, freshness, image_folder, tfds_directory

SHAPE = (8, 6, 3)


def test_the_state_of_a_folder_follows_its_files(tmp_path: Path) -> None:
    root = pictures(tmp_path, {"a": 1, "b": 1})
    settings: DataSettings = image_folder.Settings(folder=str(root), image_shape=SHAPE)
    states = [freshness(settings)]
    assert freshness(settings) == states[0] != ""
    os.utime(root / "a" / "0.JPG", (time.time(), time.time() + 5))
    states.append(freshness(settings))
    (root / "a" / "0.JPG").rename(root / "a" / "1.JPG")
    states.append(freshness(settings))
    (root / "b" / "0.JPG").unlink()
    states.append(freshness(settings))
    assert len(set(states)) == 4


def test_a_declared_version_stands_for_data_outside_and_packaged_data_need_none(tmp_path: Path) -> None:
    assert freshness(image_folder.Settings(folder=str(tmp_path), image_shape=SHAPE, version="3")) == "3"
    assert freshness(image_folder.Settings(folder=str(tmp_path / "none"), image_shape=SHAPE)) == ""
    assert freshness(tfds_directory.Settings(directory="gs://bucket/data", image_shape=SHAPE)) == ""
    assert freshness(digits.Settings()) == ""


@pytest.mark.parametrize("how", ["written over", "replaced"])
def test_another_content_of_equal_size_and_time_is_another_state(how: str, tmp_path: Path) -> None:
    """As ``rsync -t`` and ``cp -p`` leave it."""
    file = pictures(tmp_path, {"a": 1, "b": 1}) / "a" / "0.JPG"
    before, status = folder_state(str(tmp_path)), file.stat()
    content = bytes(byte ^ 1 for byte in file.read_bytes())
    if how == "replaced":
        (tmp_path.parent / "copy").write_bytes(content)
        (tmp_path.parent / "copy").replace(file)
    else:
        file.write_bytes(content)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    after = file.stat()
    assert (after.st_size, after.st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    assert folder_state(str(tmp_path)) not in {"", before}


def test_a_file_system_that_makes_up_inodes_is_judged_by_names_sizes_and_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = pictures(tmp_path, {"a": 1, "b": 1}) / "a" / "0.JPG"
    monkeypatch.setattr(data, "UNSTABLE", (mounted_as(tmp_path),))
    before = folder_state(str(tmp_path))
    file.chmod(0o600)
    assert folder_state(str(tmp_path)) == before != ""
    monkeypatch.undo()
    assert folder_state(str(tmp_path)) != before


def mounted_as(path: Path) -> str:
    """The kind of a path's file system, from util-linux."""
    done = subprocess.run(
        ["findmnt", "--noheadings", "--output", "FSTYPE", "--target", path], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_link_that_leads_nowhere_does_not_end_a_look_at_a_folder(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "absent")
    assert folder_state(str(tmp_path))
