"""Folders of pictures: a folder for each class, with or without official splits."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from picture_folders import noise, pictures, saved
from PIL import Image
from refusals import one_line

from components import storage
from components.core.errors import StepError
from components.data import Source, image_folder
from components.tasks._images.examples import pixels

SHAPE = (8, 6, 3)


def labels(source: Source, split: str) -> list[int]:
    return [example["label"] for example in source.splits[split]() if "left_out" not in example]


def left_out(source: Source) -> dict[str, int]:
    return {
        example["left_out"]: example["count"]
        for stream in source.splits.values()
        for example in stream()
        if "left_out" in example
    }


def opened(root: Path) -> Source:
    return image_folder.source(image_folder.Settings(folder=str(root), image_shape=SHAPE))


def test_a_folder_for_each_class(tmp_path: Path) -> None:
    pictures(tmp_path, {"dog/old": 3, "dog/young": 2, "cat": 4})
    (tmp_path / "cat" / "notes.txt").write_text("no picture")
    source = opened(tmp_path)
    assert source.info == {"classes": ["cat", "dog"], "image_shape": list(SHAPE), "encoding": "encoded"}
    assert left_out(source) == {".txt files": 1}
    found = {example["name"]: example for example in source.splits["train"]() if "name" in example}
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
    "names", [("valid", "test"), ("val", "test"), ("Validation", "Testing"), ("dev", "TEST"), ("val2017", "test2017")]
)
def test_splits_have_the_names_that_tools_give_them(tmp_path: Path, names: tuple[str, str]) -> None:
    counts = {f"{split}/{label}": 1 for split in ("train", *names) for label in ("a", "b")}
    assert opened(pictures(tmp_path, counts)).counts == {"train": 2, "validation": 2, "test": 2}


@pytest.mark.parametrize("name", ["train", "test", "valid", "training"])
def test_a_class_may_be_called_like_a_split(tmp_path: Path, name: str) -> None:
    source = opened(pictures(tmp_path, {"bus": 3, "car": 3, name: 3}))
    assert source.info["classes"] == ["bus", "car", name]
    assert len(labels(source, "train")) == 9 and list(source.splits) == ["train"]


def test_the_bytes_decide_and_other_files_are_counted(tmp_path: Path) -> None:
    root = pictures(tmp_path, {"a": 2, "b": 2})
    for number, kind in enumerate(("WEBP", "BMP", "TIFF", "GIF")):
        (root / f"a/{number}.{kind.lower()}").write_bytes(saved(noise(number + 10), kind))
    (root / "a/without").write_bytes(saved(noise(20), "WEBP"))
    (root / "b/wrong.jpg").write_bytes(saved(noise(21), "PNG"))
    for name in ("notes.txt", "more.TXT", "x.heic", "page.00017"):
        (root / "b" / name).write_bytes(b"no picture")
    (root / "labels.csv").write_text("a,b")
    (root / "b/gone.png").symlink_to("/nowhere/x.png")
    source = opened(root)
    assert len(labels(source, "train")) == 10 and source.counts == {"train": 16}
    assert left_out(source) == {
        ".txt files": 2,
        ".heic files": 1,
        "files of other kinds": 1,
        "files outside the class folders": 1,
        "links to nothing": 1,
    }
    facts = image_folder.facts(image_folder.Settings(folder=str(root), image_shape=SHAPE))
    assert facts is not None and facts.counts == {"train": 10}


def test_what_systems_leave_is_neither_a_class_nor_a_picture(tmp_path: Path) -> None:
    root = pictures(
        tmp_path, {"a": 2, "b": 2, "lost+found": 0, "__MACOSX/a": 1, "a/@eaDir": 1, ".ipynb_checkpoints": 1}
    )
    (root / "a/._0.png").write_bytes(b"\0\5\x16\7")
    (root / ".DS_Store").write_bytes(b"x")
    source = opened(root)
    assert source.info["classes"] == ["a", "b"] and source.counts == {"train": 4} and not left_out(source)


def test_a_name_that_is_not_utf8_is_a_name(tmp_path: Path) -> None:
    root = pictures(tmp_path, {"a": 2, "b": 2})
    (root / os.fsdecode(b"a/caf\xe9.png")).write_bytes(saved(noise(30), "PNG"))
    settings = image_folder.Settings(folder=str(root), image_shape=SHAPE)
    assert len(labels(image_folder.source(settings), "train")) == 5
    before = image_folder.state(settings)
    (root / os.fsdecode(b"a/caf\xe9.png")).rename(root / os.fsdecode(b"a/caf\xea.png"))
    assert image_folder.state(settings) != before


def test_a_folder_in_cloud_storage_is_read_like_one_here(tmp_path: Path, bucket: str) -> None:
    root = pictures(tmp_path / "here", {"train/a": 2, "train/b": 2, "valid/a": 1})
    (root / "train/a/._0.png").write_bytes(b"left by a system")
    (root / "train/b/notes.txt").write_text("no picture")
    storage.upload(root, f"{bucket}/pictures")
    here, there = (
        opened(root),
        image_folder.source(image_folder.Settings(folder=f"{bucket}/pictures", image_shape=SHAPE)),
    )
    assert there.counts == here.counts and left_out(there) == left_out(here) == {".txt files": 1}
    for split in ("train", "validation"):
        contents = [[one.get("image") for one in source.splits[split]()] for source in (here, there)]
        assert contents[0] == contents[1]
    with pytest.raises(StepError, match="no such file or folder: gs://"):
        image_folder.source(image_folder.Settings(folder=f"{bucket}/nothing", image_shape=SHAPE))


def test_a_dangling_link_has_a_state(tmp_path: Path) -> None:
    (pictures(tmp_path, {"a": 1, "b": 1}) / "a/gone.png").symlink_to("/nowhere/x.png")
    assert image_folder.state(image_folder.Settings(folder=str(tmp_path), image_shape=SHAPE))


def test_a_file_that_cannot_be_read_is_a_bad_example(tmp_path: Path) -> None:
    source = opened(pictures(tmp_path, {"a": 2, "b": 1}))
    (tmp_path / "a/1.png").unlink()
    found = {Path(example["name"]).name: example for example in source.splits["train"]()}
    assert found["1.png"]["fault"] == "the file cannot be read: No such file or directory"


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({}, "has 0 class folders, at least 2 were expected"),
        ({"only": 1}, "has 1 class folders, at least 2 were expected"),
        ({"a": 2, "b": 0}, "/b has no images (JPEG, PNG, WebP"),
        ({"train/a": 1, "train/b": 1, "test/c": 1}, "test/c is a class that"),
        ({"train/a": 1, "train/b": 1, "spare/a": 1}, "spare is next to train"),
        ({"train/a": 1, "train/b": 1, "spare/a": 1}, "if it is a class, put all classes into"),
        ({"train/a": 1, "train/b": 1, "val/a": 1, "valid/a": 1}, "has val and valid, which both mean the validation"),
        ({"valid/a": 1, "test/a": 1}, "has valid, test, but no train; add the folder train"),
        ({"train": 2, "test": 1}, "train has 0 class folders"),
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
