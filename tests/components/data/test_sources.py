"""What each source gives, and what it says when it cannot."""

import gzip
import os
import shutil
import struct
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components.core.errors import StepError
from components.data import DataSettings, Source, digits, fashion_mnist, freshness, image_folder, tfds, tfds_directory
from components.prepare import writer
from components.tasks._images.examples import pixels
from components.tasks.contract import Task

task_for = partial(Task, "image_classification")

# TFDS 4.9.10 reads its own description by a call that protobuf 6 deprecates.
pytestmark = pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning")
SHAPE = (8, 6, 3)


def noise(seed: int, height: int = 8, width: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def one_line(failure: pytest.ExceptionInfo[StepError]) -> str:
    assert "\n" not in str(failure.value)
    return str(failure.value)


def labels(source: Source, split: str) -> list[int]:
    return [example["label"] for example in source.splits[split]()]


def test_digits_are_all_there() -> None:
    source = digits.source(digits.Settings())
    examples = list(source.splits["train"]())
    assert len(examples) == 1797 and {example["label"] for example in examples} == set(range(10))
    assert not task_for(source.info).examples.to_records(examples).faults


# --- Fashion-MNIST ---------------------------------------------------------------------------------------------------


def idx(folder: Path, count: int, cut: int = 0, magic: int = 0x803) -> None:
    """The four files of Fashion-MNIST with a few pictures; the training pictures cut short by some bytes."""
    for name in ("train", "t10k"):
        pixels = bytes(number % 251 for number in range(count * 784))
        packed = gzip.compress(struct.pack(">4I", magic, count, 28, 28) + pixels)
        (folder / f"{name}-images-idx3-ubyte.gz").write_bytes(packed[: len(packed) - cut])
        written = struct.pack(">2I", 0x801, count) + bytes(number % 10 for number in range(count))
        (folder / f"{name}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(written))


@pytest.mark.skipif(not fashion_mnist.FOLDER.is_dir(), reason="needs Debian's dataset-fashion-mnist")
def test_the_system_package_holds_ten_thousand_balanced_test_pictures() -> None:
    source = fashion_mnist.source(fashion_mnist.Settings())
    assert np.bincount(labels(source, "test")).tolist() == [1000] * 10


def test_idx_files_are_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    idx(tmp_path, 25)
    monkeypatch.setattr(fashion_mnist, "FOLDER", tmp_path)
    monkeypatch.setattr(fashion_mnist, "BLOCK", 10)
    examples = list(fashion_mnist.source(fashion_mnist.Settings()).splits["train"]())
    assert [example["label"] for example in examples] == [number % 10 for number in range(25)]
    assert examples[24]["image"].ravel().tolist() == [number % 251 for number in range(24 * 784, 25 * 784)]


@pytest.mark.parametrize(
    ("broken", "message"),
    [({"cut": 30}, "is truncated or corrupt"), ({"magic": 0x802}, "is not an IDX file of 3 dimensions")],
)
def test_a_broken_idx_file_is_named(
    broken: dict[str, int], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    idx(tmp_path, 25, **broken)
    monkeypatch.setattr(fashion_mnist, "FOLDER", tmp_path)
    with pytest.raises(StepError, match=message) as failure:
        list(fashion_mnist.source(fashion_mnist.Settings()).splits["train"]())
    assert "train-images-idx3-ubyte.gz" in one_line(failure)


# --- folders of pictures ---------------------------------------------------------------------------------------------


def pictures(root: Path, counts: dict[str, int]) -> Path:
    """Folder -> so many pictures in it, JPEG and PNG in turn."""
    for folder, count in counts.items():
        (root / folder).mkdir(parents=True)
        for number in range(count):
            suffix = "png" if number % 2 else "JPG"
            Image.fromarray(noise(number)).save(root / folder / f"{number}.{suffix}")
    return root


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


# --- TensorFlow Datasets ---------------------------------------------------------------------------------------------


def directory(folder: Path, encoding: str, count: int = 9) -> Path:
    """A TFDS directory of noise, with as many test pictures as training pictures."""
    folder.mkdir()
    info = {"classes": ["a", "b"], "image_shape": list(SHAPE), "encoding": encoding}
    splits = [writer.Split(folder, name, 10**6, 2) for name in ("train", "test")]
    for split in splits:
        for number in range(count):
            pixels = noise(number)
            image: Any = pixels
            if encoding == "encoded":
                Image.fromarray(pixels).save(folder / "one.png")
                image = (folder / "one.png").read_bytes()
            stored = task_for(info).examples.to_records([{"image": image, "label": number % 2}])
            features = [values[0].item() for values in stored.features.values()]
            split.write(
                [writer.Encoder(task_for({}).examples.kinds).record([*stored.contents, b"%d" % number, *features])]
            )
        split.finish()
    writer.describe(folder, task_for(info).examples.features(), splits, text="noise", licence="none")
    return folder


@pytest.mark.parametrize("encoding", ["raw", "encoded"])
def test_a_tfds_directory_gives_its_pictures_as_they_are_stored(encoding: str, tmp_path: Path) -> None:
    place = directory(tmp_path / "data", encoding)
    shape = SHAPE if encoding == "raw" else (16, 16, 3)
    settings = tfds_directory.Settings(directory=str(place), image_shape=shape, train="train[:6]")
    source = tfds_directory.source(settings)
    assert source.info == {"classes": ["a", "b"], "image_shape": list(shape), "encoding": encoding}
    images = {
        bytes(content) for content in task_for(source.info).examples.to_records(list(source.splits["train"]())).contents
    }
    assert len(images) == 6 and len(labels(source, "test")) == 9
    assert {pixels(image, source.info).tobytes() for image in images} < {noise(n).tobytes() for n in range(9)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": "trian"}, "has no split 'trian'; did you mean train?"),
        ({"train": "train[:x]"}, "'train[:x]' is not a split of"),
        ({"validation": "held"}, "has no split 'held'"),
        ({"image_shape": (9, 6, 3)}, "has arrays of [8, 6, 3], not [9, 6, 3]"),
        ({"directory": "/nowhere"}, "/nowhere has no dataset_info.json; give the folder of one version"),
    ],
)
def test_what_a_tfds_directory_lacks_is_one_line(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    values = {"directory": str(directory(tmp_path / "data", "raw")), "image_shape": SHAPE, **changes}
    with pytest.raises(StepError) as failure:
        tfds_directory.source(tfds_directory.Settings(**values))
    assert message in one_line(failure)


def test_a_corrupt_description_is_one_line(tmp_path: Path) -> None:
    place = directory(tmp_path / "data", "raw")
    (place / "dataset_info.json").write_text("{")
    with pytest.raises(StepError, match="cannot be opened"):
        tfds_directory.source(tfds_directory.Settings(directory=str(place), image_shape=SHAPE))


# An address that answers nobody: https://www.rfc-editor.org/rfc/rfc5737
@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tfds, "PROBE", ("192.0.2.1", 443))
    monkeypatch.setattr(tfds, "TIMEOUT_S", 0.2)


@pytest.mark.usefixtures("offline")
def test_without_network_the_answer_names_the_ways_to_get_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StepError) as failure:
        tfds.source(tfds.Settings(dataset="horses_or_humans", image_shape=(300, 300, 3)))
    told = one_line(failure)
    assert "horses_or_humans is not on this machine and there is no network to download it" in told
    assert "connect to the network, or copy a prepared horses_or_humans to" in told
    monkeypatch.setattr(fashion_mnist, "FOLDER", Path("/nowhere"))
    with pytest.raises(StepError, match="install Debian's package dataset-fashion-mnist"):
        fashion_mnist.source(fashion_mnist.Settings())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cifar1O", "TensorFlow Datasets has no 'cifar1O'; did you mean cifar10?"),
        ("mnist:9.9.9", "TensorFlow Datasets cannot open 'mnist:9.9.9'"),
        ("mnist/none", "TensorFlow Datasets cannot open 'mnist/none'"),
    ],
)
@pytest.mark.usefixtures("offline")
def test_an_unknown_data_set_is_one_line(name: str, message: str) -> None:
    with pytest.raises(StepError) as failure:
        tfds.source(tfds.Settings(dataset=name, image_shape=SHAPE))
    assert message in one_line(failure)


# --- freshness -------------------------------------------------------------------------------------------------------


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
