"""Record files as TensorFlow itself reads them."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from components.prepare.writer import RecordEncoder, Split, Value, varint

EXAMPLES: dict[str, dict[str, Value]] = {
    "short": {"image": b"ab", "label": 1, "brightness": 0.5},
    "empty": {"image": b"", "label": 0, "brightness": 0.0},
    "long": {"image": bytes(70_000), "label": 127, "brightness": 1.0},
    "large label": {"image": b"x" * 127, "label": 21_841, "brightness": 0.1},
    "long name": {"x" * 200: b"x" * 128, "label": 2**62},
}


def records(folder: Path, split: str) -> list[bytes]:
    files = sorted(map(str, folder.glob(f"examples-{split}.tfrecord-*")))
    return [record.numpy() for record in tf.data.TFRecordDataset(files)]


@pytest.mark.parametrize("name", EXAMPLES)
def test_tensorflow_reads_every_value_and_checks_every_sum(name: str, tmp_path: Path) -> None:
    example = EXAMPLES[name]
    with Split(tmp_path, "train", 10**6) as split:
        kinds = {feature: type(value) for feature, value in example.items()}
        split.write([RecordEncoder(kinds).record(list(example.values()))])
        split.finish()
    (record,) = records(tmp_path, "train")
    read = tf.train.Example.FromString(record).features.feature
    assert set(read) == set(example)
    for feature, value in example.items():
        match value:
            case bytes():
                assert list(read[feature].bytes_list.value) == [value]
            case int():
                assert list(read[feature].int64_list.value) == [value]
            case _:
                assert list(read[feature].float_list.value) == [np.float32(value)]
    assert split.payload() == len(record)


@pytest.mark.parametrize("number", [0, 1, 127, 128, 300, 2**32, 2**63])
def test_a_varint_holds_seven_bits_a_byte(number: int) -> None:
    data = varint(number)
    assert sum((byte & 127) << 7 * place for place, byte in enumerate(data)) == number
    assert [byte >> 7 for byte in data] == [1] * (len(data) - 1) + [0]


@pytest.mark.parametrize(
    ("count", "file_bytes", "at_least", "files"),
    [
        (100, 10**6, 1, 1),
        (100, 10**6, 7, 7),
        (100, 1000, 1, 9),
        (100, 1000, 64, 64),
        (3, 10**6, 8, 3),
        (0, 10**6, 4, 0),
    ],
)
@pytest.mark.parametrize("expected", [0, 3, 100, 10**6])
def test_the_order_does_not_depend_on_the_number_of_files(
    count: int, file_bytes: int, at_least: int, files: int, expected: int, tmp_path: Path
) -> None:
    encoder = RecordEncoder({"image": bytes, "label": int})
    with Split(tmp_path, "train", file_bytes, at_least, expected) as split:
        for number in range(count):
            split.write([encoder.record([b"%032d" % number, number])])
        split.finish()
    sizes = [file.stat().st_size for file in sorted(tmp_path.iterdir())]
    found = [tf.train.Example.FromString(record) for record in records(tmp_path, "train")]
    assert [example.features.feature["label"].int64_list.value[0] for example in found] == list(range(count))
    assert len(sizes) == len(split.counts) and sum(split.counts) == count
    assert len(sizes) == files or (expected == 3 and files < len(sizes) <= files + at_least + 2)
    assert all(size <= file_bytes for size in sizes)
    assert expected == 3 or max(split.counts, default=0) - min(split.counts, default=0) <= 10
