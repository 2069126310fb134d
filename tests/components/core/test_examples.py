"""Prepared examples as a step reads them."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from components import storage
from components.core import examples as reading
from components.core import failure
from components.core.errors import StepError
from components.core.examples import PreparedData
from components.prepare.writer import RecordEncoder, Split
from components.tasks.contract import Task

COUNT = 50


@pytest.fixture
def prepared(tmp_path: Path) -> PreparedData:
    """Fifty pictures of two pixels in five files; the label is the number modulo 3."""
    info = {"classes": ["a", "b", "c"], "image_shape": [1, 2, 1], "encoding": "raw"}
    images = [np.array([number, 255 - number], np.uint8).reshape(1, 2, 1) for number in range(COUNT)]
    stored = Task("image_classification", info).examples.to_records(
        [{"image": image, "label": n % 3} for n, image in enumerate(images)]
    )
    keys = [hashlib.blake2b(bytes([number]), digest_size=8).hexdigest().encode() for number in range(COUNT)]
    with Split(tmp_path, "train", 10**6, at_least=5) as split:
        split.write(
            RecordEncoder(Task("image_classification", {}).examples.kinds).records(
                [stored.contents, keys, *stored.features.values()]
            )
        )
        split.finish()
    (tmp_path / storage.MANIFEST).write_text(storage.Manifest.from_folder(tmp_path).text())
    return PreparedData(str(tmp_path), "0" * 16, "image_classification", "digits", {"train": COUNT}, info)


def read(data: PreparedData, **options: object) -> list[int]:
    batches = data.batches("train", 8, **options).as_numpy_iterator()  # type: ignore[arg-type]
    return [int(image[0, 0, 0]) for batch in batches for image in batch["image"]]


def test_without_a_seed_the_order_is_that_of_writing(prepared: PreparedData) -> None:
    assert read(prepared) == list(range(COUNT))
    assert read(prepared, drop_remainder=True) == list(range(48))


def test_a_seed_decides_the_order(prepared: PreparedData) -> None:
    once, again, other = (read(prepared, shuffle_seed=seed) for seed in (1, 1, 2))
    assert once == again != other
    assert sorted(once) == sorted(other) == list(range(COUNT))


def test_a_window_holds_fewer_records_where_they_are_large(
    prepared: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = prepared._sizes("train")
    assert prepared._window("train", files) == reading.WINDOW
    monkeypatch.setattr(reading, "WINDOW_BYTES", 1000)
    assert 5 <= prepared._window("train", files) <= 12
    monkeypatch.setattr(reading, "WINDOW_BYTES", 1)
    assert prepared._window("train", files) == 1


def test_what_is_not_there_is_told_in_one_line(prepared: PreparedData) -> None:
    with pytest.raises(StepError, match=r"the data have no test split; give data\.split a fraction for it"):
        prepared.batches("test", 8)
    Path(prepared.files("train")[2]).unlink()
    with pytest.raises(StepError, match=r"tfrecord-00002-of-00005 is missing; prepare the data again"):
        prepared.batches("train", 8)
    Path(prepared.directory, storage.MANIFEST).unlink()
    with pytest.raises(StepError, match=r"has no manifest\.json: .*; prepare the data again"):
        prepared.batches("train", 8)
    for file in Path(prepared.directory).iterdir():
        file.unlink()
    with pytest.raises(StepError, match="lacks record files for train; prepare the data again"):
        prepared.batches("train", 8)


def test_the_artifact_is_read_as_it_was_written(prepared: PreparedData, tmp_path: Path) -> None:
    prepared.write(tmp_path / "artifact")
    assert PreparedData.read(tmp_path / "artifact") == prepared


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_a_record_file_that_is_damaged_while_it_is_read_is_bad_data_and_no_bug(
    damage: str, prepared: PreparedData
) -> None:
    batches = prepared.batches("train", 8)
    file = Path(prepared.files("train")[3])
    content = bytearray(file.read_bytes())
    match damage:
        case "flipped":
            content[len(content) // 2] ^= 1
            file.write_bytes(content)
        case "cut":
            file.write_bytes(content[:-7])
        case "gone":
            file.unlink()
    with pytest.raises(tf.errors.OpError) as caught:
        list(batches)
    failed = failure.from_exception("train", caught.value)
    assert failed.kind == "data" and failed.message.startswith("the prepared data cannot be read: ")
    assert failed.advice.startswith("prepare the data again: run it once more")
