"""prepare, from a source to what the other steps read."""

import errno
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from places import Place
from refusals import one_line

from components.core.errors import StepError
from components.core.examples import PreparedData
from components.core.files import digest_of
from components.data import digits, text_file, text_folder
from components.prepare import writer
from components.prepare.logic import prepare


@dataclass
class Prepared:
    examples: Place
    report: Place
    index: PreparedData


def prepared(folder: Path, data_root: Path, data: Any = None) -> Prepared:
    examples, report = Place(str(folder / "examples")), Place(str(folder / "report"))
    prepare((data or digits.Settings()).parameters(), str(data_root), "", examples, report)
    return Prepared(examples, report, PreparedData.read(examples.path))


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("prepared")
    return prepared(folder, folder / "store")


def test_every_digit_arrives_once_with_its_label_and_brightness(once: Prepared) -> None:
    from sklearn.datasets import load_digits

    true = load_digits()
    expected = sorted(
        (image.astype(np.uint8) * 15).tobytes() + b"%d" % label
        for image, label in zip(true.images, true.target, strict=True)
    )
    found = []
    for split, count in once.index.splits.items():
        batches = list(once.index.batches(split, 100).as_numpy_iterator())
        assert sum(len(batch["label"]) for batch in batches) == count
        for batch in batches:
            means = batch["image"].mean(axis=(1, 2, 3)) / 255
            np.testing.assert_allclose(batch["brightness"], means, rtol=1e-5)
            found += [
                image.tobytes() + b"%d" % label for image, label in zip(batch["image"], batch["label"], strict=True)
            ]
    assert sorted(found) == expected


# TFDS 4.9.10 reads its own description by a call that protobuf 6 deprecates.
@pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning")
def test_tensorflow_datasets_opens_the_directory_and_its_sub_splits(once: Prepared) -> None:
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(once.index.directory)
    assert {name: split.num_examples for name, split in builder.info.splits.items()} == once.index.splits
    assert builder.info.features["label"].names == once.index.info["classes"]
    in_order = tfds.ReadConfig(interleave_cycle_length=1)
    half = builder.as_dataset(split="train[50%:]+test[:10]", shuffle_files=False, read_config=in_order)
    read = list(tfds.as_numpy(half))
    ours = [batch for split in ("train", "test") for batch in once.index.batches(split, 2000).as_numpy_iterator()]
    start = once.index.splits["train"] - round(once.index.splits["train"] / 2)
    for name in ("image", "label", "key", "brightness"):
        expected = np.concatenate([ours[0][name][start:], ours[1][name][:10]])
        np.testing.assert_array_equal(np.stack([example[name] for example in read]), expected)


def test_the_metadata_tell_where_what_and_how_many(once: Prepared) -> None:
    told = once.examples.metadata
    assert Path(told["directory"]).name == told["fingerprint"] == once.index.fingerprint
    assert {name: told[name] for name in once.index.splits} == once.index.splits
    page = Path(once.report.path).read_text()
    assert told["fingerprint"] in page and "CC BY 4.0" in page and "<svg" in page


def test_the_same_data_give_the_same_artifact_and_take_the_directory_that_is_there(
    once: Prepared, tmp_path: Path
) -> None:
    directory = Path(once.index.directory)
    before = {file.name: file.stat().st_mtime_ns for file in directory.iterdir()}
    again = prepared(tmp_path, directory.parent)
    assert digest_of(Path(again.examples.path)) == digest_of(Path(once.examples.path))
    assert {file.name: file.stat().st_mtime_ns for file in directory.iterdir()} == before
    assert [path.name for path in directory.parent.iterdir()] == [directory.name]
    elsewhere = prepared(tmp_path, tmp_path / "other")
    assert digest_of(Path(elsewhere.index.directory)) == digest_of(directory)


def test_a_directory_with_a_file_missing_is_made_anew(tmp_path: Path) -> None:
    directory = Path(prepared(tmp_path, tmp_path / "store").index.directory)
    whole = digest_of(directory)
    next(directory.glob("*-test.tfrecord-*")).unlink()
    prepared(tmp_path, tmp_path / "store")
    assert digest_of(directory) == whole


@pytest.mark.parametrize("file", ["*-train.tfrecord-*", "features.json", "manifest.json"])
def test_one_flipped_bit_in_a_directory_sets_it_aside_and_makes_it_anew(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = Path(prepared(tmp_path, tmp_path / "store").index.directory)
    whole = digest_of(directory)
    damaged = next(directory.glob(file))
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    rotten = digest_of(directory)
    capsys.readouterr()
    prepared(tmp_path, tmp_path / "store")
    assert digest_of(directory) == whole
    (aside,) = (path for path in directory.parent.iterdir() if path != directory)
    assert aside.name.startswith(f"{directory.name}.damaged-") and digest_of(aside) == rotten
    assert f"{directory} is damaged and prepared again: " in capsys.readouterr().out


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writer.Split, "finish", full)
    with pytest.raises(OSError, match="No space left"):
        prepared(tmp_path, tmp_path / "store")
    assert list((tmp_path / "store").iterdir()) == []
    assert not (tmp_path / "examples").exists()


def test_a_data_root_that_cannot_be_written_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file, not a folder")
    with pytest.raises(OSError):
        prepared(tmp_path, tmp_path / "store")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"limit": 3, "split": (0.98, 0.01, 0.01)}, "the validation split is empty: the source gave 3 examples"),
        ({"task": "image_clasification"}, "did you mean image_classification?"),
    ],
)
def test_an_impossible_wish_is_one_line(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    data = {**digits.Settings().parameters(), **changes}
    with pytest.raises(StepError) as failure:
        prepare(data, str(tmp_path), "", Place(str(tmp_path / "examples")), Place(str(tmp_path / "report")))
    assert message in str(failure.value) and "\n" not in str(failure.value)
    assert list(tmp_path.iterdir()) == []


def test_examples_that_are_all_held_out_too_are_told(tmp_path: Path) -> None:
    for split, count in (("train", 6), ("test", 6)):
        for number in range(count):
            folder = tmp_path / "in" / split / "ab"[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{split}{number}.txt").write_text(f"text {number}")
    settings = text_folder.Settings(folder=str(tmp_path / "in"))
    with pytest.raises(StepError) as failure:
        prepared(tmp_path, tmp_path / "store", settings)
    told = one_line(failure)
    assert told.startswith("6 of 6 train examples are also in test; let each split have examples of its own")
    (tmp_path / "in" / "train" / "a" / "new.txt").write_text("another text")
    with pytest.raises(StepError, match="6 of 7 train examples are also in test"):
        prepared(tmp_path, tmp_path / "store", settings)


def test_the_notes_of_a_source_are_in_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"text {number},{'good' if number % 2 else 'bad'}\n" for number in range(60))
    (tmp_path / "a.csv").write_text(f"text,label\n{rows}" + "".join(f"more {number},NULL\n" for number in range(20)))
    done = prepared(tmp_path, tmp_path / "store", text_file.Settings(file=str(tmp_path / "a.csv")))
    assert "NULL (20)" in Path(done.report.path).read_text() and "NULL (20)" in capsys.readouterr().out
    assert sum(done.index.info["class_counts"]) == done.index.splits["train"]


def test_the_index_does_not_tell_when_it_was_made(once: Prepared) -> None:
    values = json.loads((Path(once.examples.path) / "examples.json").read_text())
    assert set(values) == {"directory", "fingerprint", "task", "source", "splits", "info", "stream"}
    assert set(values["info"]) == {"classes", "class_counts", "image_shape", "encoding", "licence", "text"}
