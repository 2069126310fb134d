"""Prepared data in Cloud Storage, copied, streamed and mounted: the same examples in the same order."""

import dataclasses
import gc
import shutil
import tempfile
from pathlib import Path
from typing import Any

import faulty_proxy
import numpy as np
import pytest
from storage_emulator import Emulator

from components import storage
from components.core import examples as reading
from components.core import streaming
from components.core.examples import PreparedData
from components.prepare.writer import RecordEncoder, Split
from components.tasks.contract import Task

COUNT, FILES = 240, 24


@pytest.fixture
def prepared(tmp_path: Path) -> PreparedData:
    """Pictures of two pixels in more files than are read at once."""
    info = {"classes": ["a", "b", "c"], "image_shape": [1, 2, 1], "encoding": "raw"}
    images = [np.array([number % 256, number // 256], np.uint8).reshape(1, 2, 1) for number in range(COUNT)]
    stored = Task("image_classification", info).examples.to_records(
        [{"image": image, "label": n % 3} for n, image in enumerate(images)]
    )
    (tmp_path / "data").mkdir()
    with Split(tmp_path / "data", "train", 10**6, at_least=FILES) as split:
        keys = [b"%016d" % number for number in range(COUNT)]
        split.write(
            RecordEncoder(Task("image_classification", {}).examples.kinds).records(
                [stored.contents, keys, *stored.features.values()]
            )
        )
        split.finish()
    storage.upload(tmp_path / "data", str(tmp_path / "store"))
    return PreparedData(str(tmp_path / "store"), "0" * 16, "image_classification", "digits", {"train": COUNT}, info)


@pytest.fixture
def remote(prepared: PreparedData, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PreparedData:
    """The same in Cloud Storage, to be streamed; what is fetched lies in a folder of the test's."""
    directory = storage.join(bucket, "data", "0" * 16)
    storage.upload(tmp_path / "data", directory)
    (tmp_path / "disk").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "disk"))
    return dataclasses.replace(prepared, directory=directory, stream="always")


def read(data: PreparedData, seed: int | None) -> list[bytes]:
    batches = data.batches("train", 32, shuffle_seed=seed).as_numpy_iterator()
    return [bytes(image) for batch in batches for image in batch["image"]]


@pytest.mark.parametrize("seed", [None, 5], ids=["in order", "shuffled"])
def test_streamed_examples_are_the_copied_ones_in_the_same_order(
    seed: int | None, prepared: PreparedData, remote: PreparedData
) -> None:
    copied = dataclasses.replace(remote, stream="never")
    assert read(remote, seed) == read(copied, seed) == read(prepared, seed)


@pytest.mark.parametrize(("seed", "most"), [(None, 1), (5, 16)], ids=["in order", "shuffled"])
def test_few_files_are_on_the_disk_at_once_and_none_afterwards(
    seed: int | None, most: int, remote: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = []
    fetch = storage.fetch

    def watched(*given: Any) -> Path:
        at_once.append(len(list((tmp_path / "disk").glob("*/*"))))
        return fetch(*given)

    monkeypatch.setattr(storage, "fetch", watched)
    assert len(read(remote, seed)) == COUNT
    assert len(at_once) == FILES
    # Those being read, those fetched ahead, and a few that wait to be read or removed.
    assert max(at_once) <= most + streaming.AHEAD + 4 < FILES
    gc.collect()
    assert list((tmp_path / "disk").iterdir()) == []


def test_an_epoch_that_is_left_early_leaves_no_file(
    remote: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "WINDOW", 8)
    batches = iter(remote.batches("train", 8, shuffle_seed=1).take(2))
    next(batches)
    assert list((tmp_path / "disk").iterdir())
    del batches
    gc.collect()
    assert list((tmp_path / "disk").iterdir()) == []


def test_a_bad_network_changes_no_streamed_example(
    remote: PreparedData, prepared: PreparedData, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with faulty_proxy.running(emulator.url, 3, faulty_proxy.BAD_DAY) as proxy:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
        assert read(remote, 2) == read(prepared, 2)
        assert proxy.counts.total()


def test_a_damaged_file_ends_the_stream(remote: PreparedData) -> None:
    import tensorflow as tf

    name = storage.listing(remote.directory)[7]
    storage.write_text(storage.join(remote.directory, name), "damaged")
    with pytest.raises(tf.errors.OpError, match=rf"is damaged: {name} has 7 bytes"):
        read(remote, None)


def test_a_mounted_bucket_is_read_where_it_is(
    remote: PreparedData, prepared: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount = Path(storage.join(str(tmp_path / "gcs"), remote.directory.removeprefix("gs://")))
    shutil.copytree(prepared.directory, mount)
    monkeypatch.setenv("SUANLI_GCS_MOUNTS", str(tmp_path / "gcs"))
    assert remote.files("train")[0].startswith(str(mount))
    assert read(remote, 5) == read(prepared, 5)
    assert list((tmp_path / "disk").iterdir()) == []
    (mount / storage.MANIFEST).unlink()
    with pytest.raises(storage.Damaged, match="prepare the data again"):
        remote.files("train")


def test_the_free_disk_decides_unless_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    assert [streaming.is_enabled("auto", size) for size in (0, 500, 501)] == [False, False, True]
    assert streaming.is_enabled("always", 0) and not streaming.is_enabled("never", 10**18)
