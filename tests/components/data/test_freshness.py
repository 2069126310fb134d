"""What stands for the state of data, as components.data.freshness says it."""

import os
import time
from pathlib import Path

from picture_folders import pictures

from components.data import DataSettings, digits, freshness, image_folder, tfds_directory

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
