"""Pictures on their way into a record and out of it again."""

import io
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.prepare.writer import RecordEncoder
from components.tasks._images.examples import pixels
from components.tasks.contract import Task
from components.vision import images

task_for = partial(Task, "image_classification")


def smooth(height: int, width: int, channels: int) -> np.ndarray:
    """A picture without noise, on which two decoders agree to a level or two."""
    rows, columns, waves = np.meshgrid(np.arange(height), np.arange(width), np.arange(channels), indexing="ij")
    values = 127 + 80 * np.sin(rows / 9 + waves) + 40 * np.cos(columns / 7)
    return np.clip(values, 0, 255).astype(np.uint8)


def file_of(pixels: np.ndarray, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(stream, format=kind, **options)
    return stream.getvalue()


def information(*shape: int, encoding: str = "encoded") -> dict[str, Any]:
    return {"classes": ["a", "b", "c"], "image_shape": list(shape), "encoding": encoding}


def parsed(examples: list[dict[str, Any]], info: dict[str, Any]) -> dict[str, np.ndarray]:
    """What ``parse`` makes of what ``stored`` and the writer made."""
    stored = task_for(info).examples.to_records(examples)
    assert not stored.faults
    keys = [b"%d" % number for number in range(len(examples))]
    columns = zip(stored.contents, keys, *(values.tolist() for values in stored.features.values()), strict=True)
    encoder = RecordEncoder(task_for({}).examples.kinds)
    records = [encoder.record(values)[12:-4] for values in columns]  # without TFRecord's frame
    batch = tf.function(lambda given: task_for(info).examples.parse(given))(tf.constant(records))
    return {name: values.numpy() for name, values in batch.items()}


def test_arrays_come_back_as_they_were() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 3, 2), np.uint8)
    found = parsed(
        [{"image": image, "label": n % 3} for n, image in enumerate(images)], information(4, 3, 2, encoding="raw")
    )
    np.testing.assert_array_equal(found["image"], images)
    assert found["label"].tolist() == [0, 1, 2, 0, 1] and found["label"].dtype == np.int64
    assert found["key"].tolist() == [b"0", b"1", b"2", b"3", b"4"]
    np.testing.assert_allclose(found["brightness"], images.mean(axis=(1, 2, 3)) / 255, rtol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("own", [1, 3])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_files_are_decoded_and_resized_as_prediction_does_it(
    kind: str, own: int, channels: int, tmp_path: Path
) -> None:
    sizes = [(24, 20), (40, 33), (11, 50)]
    files = [file_of(smooth(*size, own), kind) for size in sizes]
    info = information(24, 20, channels)
    found = parsed([{"image": data, "label": 0} for data in files], info)["image"]
    assert found.shape == (3, 24, 20, channels) and found.dtype == np.uint8
    for number, data in enumerate(files):
        (tmp_path / f"{number}.{kind}").write_bytes(data)
        expected = images.from_file(tmp_path / f"{number}.{kind}", (24, 20, channels))
        # The two libraries weigh red, green and blue, and round, a little differently.
        assert np.abs(found[number].astype(int) - expected.astype(int)).max() <= 3
    if own == channels and kind == "PNG":
        np.testing.assert_array_equal(found[0], smooth(24, 20, own))


PICTURE = smooth(64, 64, 3)
BROKEN = {
    "nothing": (b"", "cannot be read as an image: not JPEG, PNG"),
    "a text": (b"<html>not found</html>", "cannot be read as an image: not JPEG, PNG"),
    "another format": (b"%PDF-1.7", "cannot be read as an image: not JPEG, PNG"),
    "half a JPEG": (file_of(PICTURE, "JPEG")[:900], "cannot be read as an image: "),
    "half a PNG": (file_of(PICTURE, "PNG")[:900], "cannot be read as an image: "),
    "a JPEG without its last bytes": (file_of(PICTURE, "JPEG")[:-40], "cannot be read as an image: "),
    "a PNG with a wrong sum": (file_of(PICTURE, "PNG")[:-20] + bytes(20), "wrong checksum"),
    "a PNG with a damaged end": (file_of(PICTURE, "PNG")[:-6] + bytes(6), "wrong checksum"),
    "a PNG without its end": (file_of(PICTURE, "PNG")[:-12], "without its last chunk"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_told_in_one_line(name: str) -> None:
    data, fault = BROKEN[name]
    good = {"image": file_of(PICTURE, "PNG"), "label": 1}
    stored = task_for(information(32, 32, 3)).examples.to_records([good, {"image": data, "label": 0}])
    assert fault in stored.faults[1] and "\n" not in stored.faults[1]
    assert stored.contents == [good["image"]] and stored.features["label"].tolist() == [1]


def test_sixteen_bits_are_cut_to_the_upper_eight() -> None:
    data = file_of(np.arange(0, 65536, 1024, dtype=np.uint16).reshape(8, 8), "PNG")
    found = parsed([{"image": data, "label": 0}], information(8, 8, 1))["image"][0]
    np.testing.assert_array_equal(found, pixels(data, information(8, 8, 1)))
    assert found.ravel().tolist() == list(range(0, 256, 4))
