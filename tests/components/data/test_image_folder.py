"""Folders of pictures: a folder for each class, with or without official splits."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from picture_folders import noise, pictures
from PIL import Image
from refusals import one_line

from components.core.errors import StepError
from components.data import Source, image_folder
from components.tasks._images.examples import pixels

SHAPE = (8, 6, 3)


def labels(source: Source, split: str) -> list[int]:
    return [example["label"] for example in source.splits[split]()]


def opened(root: Path) -> Source:
    return image_folder.source(image_folder.Settings(folder=str(root), image_shape=SHAPE))


def test_a_folder_for_each_class(tmp_path: Path) -> None:
    source = opened(pictures(tmp_path, {"dog/old": 3, "dog/young": 2, "cat": 4}))
    (tmp_path / "cat" / "notes.txt").write_text("no picture")
    assert source.info == {"classes": ["cat", "dog"], "image_shape": list(SHAPE), "encoding": "encoded"}
    found = {example["name"]: example for example in source.splits["train"]()}
    assert sorted(example["label"] for example in found.values()) == [0] * 4 + [1] * 5
    png = found[str(tmp_path / "dog" / "old" / "1.png")]
    np.testing.assert_array_equal(pixels(png["image"], source.info), noise(1))


def test_classes_are_mixed_and_a_new_file_leaves_the_order_of_the_others(tmp_path: Path) -> None:
    root = pictures(tmp_path, {"a": 20, "b": 20})
    before = [example["name"] for example in opened(root).splits["train"]()]
    assert labels(opened(root), "train") != sorted(labels(opened(root), "train"))
    shutil.copy(root / "a" / "1.png", root / "a" / "new.png")
    after = [example["name"] for example in opened(root).splits["train"]()]
    assert [name for name in after if not name.endswith("new.png")] == before


def test_train_validation_and_test_folders_are_the_official_splits(tmp_path: Path) -> None:
    source = opened(pictures(tmp_path, {"train/a": 3, "train/b": 3, "validation/a": 1, "test/a": 1, "test/b": 2}))
    assert {split: len(labels(source, split)) for split in source.splits} == {"train": 6, "validation": 1, "test": 3}


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({}, "has 0 class folders, at least 2 were expected"),
        ({"only": 1}, "has 1 class folders, at least 2 were expected"),
        ({"a": 2, "b": 0}, "/b has no images (.jpg, .jpeg, .png); fill it or remove it"),
        ({"train/a": 1, "train/b": 1, "test/c": 1}, "test/c is a class that"),
        ({"train/a": 1, "train/b": 1, "spare/a": 1}, "spare is next to train"),
    ],
)
def test_a_folder_that_is_no_data_set_is_told_in_one_line(counts: dict[str, int], message: str, tmp_path: Path) -> None:
    with pytest.raises(StepError) as failure:
        opened(pictures(tmp_path, counts))
    assert message in one_line(failure)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"no such folder: .*/nowhere; set data\.folder"):
        opened(tmp_path / "nowhere")


@pytest.mark.parametrize("splits", [("",), ("train", "test")], ids=["no official split", "an official test split"])
def test_a_folders_pictures_are_counted_by_their_names(tmp_path: Path, splits: tuple[str, ...]) -> None:
    for split in splits:
        for label in ("cat", "dog"):
            (tmp_path / split / label).mkdir(parents=True)
            for number in range(3):
                Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / split / label / f"{number}.PNG")
    settings = image_folder.Settings(folder=str(tmp_path), image_shape=(8, 8, 3))
    facts, source = image_folder.facts(settings), image_folder.source(settings)
    assert facts is not None
    assert facts.counts == {name: sum(1 for _ in stream()) for name, stream in source.splits.items()}
    assert (facts.classes, facts.encoded) == (len(source.info["classes"]), source.info["encoding"] == "encoded")


def test_a_folder_that_is_not_there_tells_nothing() -> None:
    assert image_folder.facts(image_folder.Settings(folder="/nowhere", image_shape=(8, 8, 3))) is None
