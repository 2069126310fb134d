"""Examples into TFRecord files, several times faster than TensorFlow Datasets writes them, and readable by it.

A ``tf.train.Example`` is nested length-prefixed fields. All that does not depend on an example's values is the same
for equal lengths, so those bytes are made once a length and joined with the values; nothing imports TensorFlow.
"""

import json
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice, pairwise
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from google_crc32c import value as crc32c

NAME = "examples"
# The description's file, which makes a folder a TFDS directory; the last one written in Cloud Storage.
MARK = "dataset_info.json"
WRITE_BYTES = 1 << 20
# TFRecord: length, masked CRC of the length, data, masked CRC of the data
# (https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details).
HEAD, TAIL = struct.Struct("<QI"), struct.Struct("<I")
LENGTH, FLOAT = struct.Struct("<Q"), struct.Struct("<f")
FRAME = HEAD.size + TAIL.size
# Protocol buffer tags (https://protobuf.dev/programming-guides/encoding): field 1, 2 or 3, its length comes next. The
# messages are tensorflow/core/example/{example,feature}.proto, where a Feature is a list of bytes (1), floats (2) or
# integers (3).
FIRST, SECOND, THIRD = b"\x0a", b"\x12", b"\x1a"

Value = bytes | int | float


def varint(number: int) -> bytes:
    """An unsigned integer as protocol buffers write it: seven bits a byte, the lowest first."""
    parts = bytearray()
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def masked(crc: int) -> int:
    """A CRC as TFRecord stores it: rotated by 15 bits plus a constant."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


class Encoder:
    """Values of an example to the bytes of its record, frame included."""

    def __init__(self) -> None:
        self._fields: dict[tuple[str, type, int], bytes] = {}
        self._frames: dict[int, tuple[bytes, bytes]] = {}

    def record(self, example: Mapping[str, Value]) -> bytes:
        """One record. Bytes become a bytes list, integers (not negative) an int64 list, fractions a float list.

        The order of the features is the mapping's own.
        """
        parts: list[bytes] = []
        for name, value in example.items():
            if isinstance(value, bytes):
                data = value
            elif isinstance(value, int):
                data = varint(value)
            else:
                data = FLOAT.pack(value)
            known = (name, type(value), len(data))
            parts += self._fields.get(known) or self._field(known), data
        body = b"".join(parts)
        frame, start = self._frames.get(len(body)) or self._frame(len(body))
        data = start + body
        return b"".join((frame, data, TAIL.pack(masked(crc32c(data)))))

    def _field(self, known: tuple[str, type, int]) -> bytes:
        """What precedes a value of this length in the map of features."""
        name, kind, size = known
        tag = {bytes: FIRST, float: SECOND, int: THIRD}[kind]
        start = FIRST + varint(size)  # the list's value, or its packed values
        start = tag + varint(len(start) + size) + start  # the kind of list
        start = SECOND + varint(len(start) + size) + start  # the map entry's value
        title = name.encode()
        start = FIRST + varint(len(title)) + title + start  # the map entry's key
        start = FIRST + varint(len(start) + size) + start  # the entry
        return self._fields.setdefault(known, start)

    def _frame(self, size: int) -> tuple[bytes, bytes]:
        """What precedes a map of features of this size: the record's head, and the example's own first bytes."""
        start = FIRST + varint(size)
        length = LENGTH.pack(len(start) + size)
        head = HEAD.pack(len(start) + size, masked(crc32c(length)))
        return self._frames.setdefault(size, (head, start))


@dataclass
class Split:
    """The record files of one split while they are written: ``.<split>.<number>``, each full before the next begins.

    Attributes:
        counts: examples in each file.
        payload: bytes of the records without their frames, which is what TFDS calls a split's size.
    """

    folder: Path
    name: str
    file_bytes: int
    counts: list[int] = field(default_factory=list)
    payload: int = 0
    _stream: IO[bytes] | None = None
    _left: int = 0

    def write(self, record: bytes) -> None:
        """Append a record."""
        if self._stream is None or self._left < len(record):
            self.close()
            self._stream = self._path(len(self.counts)).open("wb", buffering=WRITE_BYTES)
            self.counts.append(0)
            self._left = self.file_bytes
        self._stream.write(record)
        self._left -= len(record)
        self.counts[-1] += 1
        self.payload += len(record) - FRAME

    def close(self) -> None:
        """End the file that is open."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def finish(self, at_least: int) -> None:
        """Give the files their final names, cut into ``at_least`` files where there are fewer.

        The order of the records is the order in which they were written, whatever the number of files.
        """
        self.close()
        wanted = min(at_least, sum(self.counts))
        if len(self.counts) < wanted:
            self._cut(wanted)
        for number in range(len(self.counts)):
            self._path(number).rename(self.folder / _file(self.name, number, len(self.counts)))

    def _cut(self, wanted: int) -> None:
        """Spread the records evenly; only small splits are, so this moves little."""
        paths = [self._path(number) for number in range(len(self.counts))]
        whole = [path.rename(path.with_name(f"{path.name}.whole")) for path in paths]
        records = (record for path in whole for record in _records(path))
        total = sum(self.counts)
        bounds = [total * number // wanted for number in range(wanted + 1)]
        self.counts = [end - start for start, end in pairwise(bounds)]
        for number, count in enumerate(self.counts):
            with self._path(number).open("wb", buffering=WRITE_BYTES) as stream:
                stream.writelines(islice(records, count))
        for path in whole:
            path.unlink()

    def _path(self, number: int) -> Path:
        return self.folder / f".{self.name}.{number:05d}"


def _file(split: str, number: int, count: int) -> str:
    """A record file's name, by TFDS's default template."""
    return f"{NAME}-{split}.tfrecord-{number:05d}-of-{count:05d}"


def _records(path: Path) -> Iterator[bytes]:
    """The records of a file, frames included."""
    with path.open("rb", buffering=WRITE_BYTES) as stream:
        while head := stream.read(HEAD.size):
            yield head + stream.read(HEAD.unpack(head)[0] + TAIL.size)


def describe(folder: Path, features: Mapping[str, Any], splits: list[Split], *, text: str, licence: str) -> None:
    """Write what TFDS needs to open the folder. Neither this nor the import of tfds (0.4 s) brings TensorFlow in."""
    import tensorflow_datasets as tfds

    template = tfds.core.ShardedFileTemplate(data_dir=folder, dataset_name=NAME, filetype_suffix="tfrecord")
    tfds.folder_dataset.write_metadata(
        data_dir=folder,
        features=dict(features),
        split_infos=[
            tfds.core.SplitInfo(
                name=split.name,
                shard_lengths=split.counts,
                num_bytes=split.payload,
                filename_template=template.replace(split=split.name),
            )
            for split in splits
        ],
        version="1.0.0",
        check_data=False,
        description=text,
        license=licence,
    )


def described(text: str) -> list[str]:
    """The names of the record files that the text of a ``dataset_info.json`` of ours tells of."""
    splits = {split["name"]: len(split["shardLengths"]) for split in json.loads(text)["splits"]}
    return [_file(name, number, count) for name, count in splits.items() for number in range(count)]


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))
