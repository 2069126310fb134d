"""Writer of TFRecord files for TensorFlow Datasets, several times faster than its own, without TensorFlow.

A ``tf.train.Example`` consists of nested length-prefixed fields. The bytes other than the values are the same for equal
lengths, so they are computed once per length and joined with the values.
"""

import math
import os
import struct
from array import array
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
from google_crc32c import value as crc32c

NAME = "examples"
WRITE_BYTES = 1 << 20
# Cached combinations of lengths: encoded images have many.
HEADERS = 1 << 12
# TFRecord: length, masked CRC of the length, data, masked CRC of the data
# (https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details).
LENGTH, TAIL, FLOAT = struct.Struct("<Q"), struct.Struct("<I"), struct.Struct("<f")
FRAME = LENGTH.size + 2 * TAIL.size
# Protocol buffer tags (https://protobuf.dev/programming-guides/encoding): field 1, 2 or 3, its length comes next. The
# messages are tensorflow/core/example/{example,feature}.proto, where a Feature is a list of bytes (1), floats (2) or
# integers (3).
FIRST, SECOND, THIRD = b"\x0a", b"\x12", b"\x1a"

Value = bytes | int | float
# One feature of several examples: numbers [n], contents of equal length as uint8 [n, length], or any contents.
Column = np.ndarray | Sequence[bytes]
# Records of equal length are the rows of an array, uint8 [n, length].
Records = np.ndarray | list[bytes]


def varint(number: int) -> bytes:
    """An unsigned integer in protocol buffer encoding: seven bits per byte, the lowest first."""
    parts = bytearray()
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def mask(crc: Any) -> Any:
    """A CRC, or an array uint32 of them, in the form of TFRecord: rotated by 15 bits plus a constant."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


class RecordEncoder:
    """Encodes values of examples as records, including frames.

    Args:
        kinds: feature -> type of its values: bytes become a bytes list, integers (not negative) an int64 list, floats a
            float list. The features are written in this order.
    """

    def __init__(self, kinds: Mapping[str, type[Value]]) -> None:
        self._kinds = dict(kinds)
        encoders: dict[type[Value], Callable[[Any], bytes]] = {bytes: bytes, int: cache(varint), float: FLOAT.pack}
        self._encoders = [encoders[kind] for kind in kinds.values()]
        # Lengths of the values -> the record's header, and the bytes before each value.
        self._headers: dict[tuple[int, ...], tuple[bytes, list[bytes]]] = {}

    def records(self, columns: Sequence[Column]) -> Records:
        """The records of several examples, with a column of values for each feature."""
        parts = [_fixed(column, kind) for column, kind in zip(columns, self._kinds.values(), strict=True)]
        if all(part is not None for part in parts):
            return self._equal_lengths([part for part in parts if part is not None])
        values = [
            column.tolist() if isinstance(column, np.ndarray) and column.ndim == 1 else column for column in columns
        ]
        return [self.record(one) for one in zip(*values, strict=True)]

    def record(self, values: Sequence[Any]) -> bytes:
        data = [encode(value) for encode, value in zip(self._encoders, values, strict=True)]
        head, starts = self._header(tuple(map(len, data)))
        body = b"".join([part for pair in zip(starts, data, strict=True) for part in pair])
        return b"".join((head, body, TAIL.pack(mask(crc32c(body)))))

    def _equal_lengths(self, parts: list[np.ndarray]) -> np.ndarray:
        """Records whose values have equal lengths, as the rows of one array.

        Args:
            parts: the bytes of each feature's values, uint8 [n, length].
        """
        head, starts = self._header(tuple(part.shape[1] for part in parts))
        columns = [head, *(piece for pair in zip(starts, parts, strict=True) for piece in pair)]
        rows = np.empty((len(parts[0]), sum(map(_width, columns)) + TAIL.size), np.uint8)
        offset = 0
        for column in columns:
            values = np.frombuffer(column, np.uint8) if isinstance(column, bytes) else column
            rows[:, offset : offset + _width(column)] = values
            offset += _width(column)
        size, data = rows.shape[1], rows.tobytes()
        sums = [crc32c(data[start + len(head) : start + offset]) for start in range(0, len(data), size)]
        rows[:, offset:] = mask(np.array(sums, np.uint32)).astype("<u4")[:, None].view(np.uint8)
        return rows

    def _header(self, lengths: tuple[int, ...]) -> tuple[bytes, list[bytes]]:
        """A record's header, and the bytes before each value."""
        if cached := self._headers.get(lengths):
            return cached
        pairs = zip(self._kinds.items(), lengths, strict=True)
        starts = [_before(name, kind, length) for (name, kind), length in pairs]
        size = sum(map(len, starts)) + sum(lengths)
        starts[0] = FIRST + varint(size) + starts[0]  # the map of features itself
        length = LENGTH.pack(len(FIRST + varint(size)) + size)
        header = length + TAIL.pack(mask(crc32c(length))), starts
        if len(self._headers) < HEADERS:
            self._headers[lengths] = header
        return header


def _first_value(record: bytes) -> bytes:
    """The value of a record's first feature, of bytes."""

    def field(start: int) -> tuple[int, int]:
        """Where the value of the field that starts there begins and ends."""
        size, shift, offset = 0, 0, start + 1
        while True:
            size |= (record[offset] & 127) << shift
            shift, offset = shift + 7, offset + 1
            if record[offset - 1] < 128:
                return offset, offset + size

    features, _ = field(0)
    entry, _ = field(features)
    _, key_end = field(entry)
    kind, _ = field(key_end)
    values, _ = field(kind)
    return record[slice(*field(values))]


def _width(column: bytes | np.ndarray) -> int:
    return len(column) if isinstance(column, bytes) else int(column.shape[1])


def _fixed(column: Column, kind: type[Value]) -> np.ndarray | None:
    """The bytes of a column's values, uint8 [n, length]; None if their lengths differ."""
    if not isinstance(column, np.ndarray):
        return None
    if kind is bytes:
        return column
    if kind is float:
        return column.astype("<f4")[:, None].view(np.uint8)
    return column.astype(np.uint8)[:, None] if column.size and column.min() >= 0 and column.max() < 128 else None


def _before(name: str, kind: type[Value], size: int) -> bytes:
    """The bytes before a value of this length in the map of features."""
    tag = {bytes: FIRST, float: SECOND, int: THIRD}[kind]
    start = FIRST + varint(size)  # the list's value, or its packed values
    start = tag + varint(len(start) + size) + start  # the kind of list
    start = SECOND + varint(len(start) + size) + start  # the map entry's value
    title = name.encode()
    start = FIRST + varint(len(title)) + title + start  # the map entry's key
    return FIRST + varint(len(start) + size) + start  # the entry


@dataclass
class Split:
    """The record files of one split being written: ``.<split>.<number>``, each filled before the next begins.

    Attributes:
        file_bytes: target size of one file.
        at_least: minimum number of files, if there are as many examples.
        expected: approximate number of examples, if known.
        counts: examples in each file.
        sizes: bytes of each record, including its frame.
    """

    folder: Path
    name: str
    file_bytes: int
    at_least: int = 1
    expected: int = 0
    counts: list[int] = field(default_factory=list)
    sizes: "array[int]" = field(default_factory=lambda: array("I"))
    _stream: IO[bytes] | None = None
    _left: int = 0
    _first: int = 0

    def write(self, records: Records) -> None:
        """Append a few records, all to the same file."""
        joined = np.ascontiguousarray(records).data.cast("B") if isinstance(records, np.ndarray) else b"".join(records)
        if self._stream is None or self._left < len(joined):
            self.close()
            self._left = self._room(len(joined) / len(records))
            self._stream = self._path(len(self.counts)).open("wb")
            self.counts.append(0)
        self._stream.write(joined)
        self._left -= len(joined)
        self.counts[-1] += len(records)
        self.sizes.extend(map(len, records))

    def _room(self, record_bytes: float) -> int:
        """The size of the next file: smaller if there would be too few files, by the size of the first records."""
        if not self.counts:
            # Four standard deviations above the expectation: the assignment of examples is random.
            upper = self.expected + 4 * math.sqrt(self.expected)
            self._first = min(self.file_bytes, math.ceil(upper * record_bytes / self.at_least)) or self.file_bytes
        return self._first if len(self.counts) < self.at_least else self.file_bytes

    def payload(self) -> int:
        """Bytes of the records without frames, which TFDS calls a split's size."""
        return sum(self.sizes) - FRAME * len(self.sizes)

    def content(self, position: int) -> bytes:
        """The first feature, of bytes, of one of the examples, before they are finished."""
        self.close()
        number, first = 0, 0
        while first + self.counts[number] <= position:
            first, number = first + self.counts[number], number + 1
        with self._path(number).open("rb") as stream:
            stream.seek(sum(self.sizes[first:position]) + LENGTH.size + TAIL.size)
            return _first_value(stream.read(self.sizes[position] - FRAME))

    def close(self) -> None:
        """Close the open file, if any."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def finish(self) -> None:
        """Give the files their final names, after splitting them into ``at_least`` files if there are fewer.

        The records remain in the order in which they were written.
        """
        self.close()
        count = min(self.at_least, len(self.sizes))
        if len(self.counts) < count:
            self._resplit(count)
        for number in range(len(self.counts)):
            self._path(number).rename(self.folder / _file(self.name, number, len(self.counts)))

    def _resplit(self, count: int) -> None:
        """Divide the records evenly among files; this happens to small splits only."""
        paths = [self._path(number) for number in range(len(self.counts))]
        whole = [path.rename(path.with_name(f"{path.name}.whole")) for path in paths]
        content = _chunks(whole)
        bounds = [len(self.sizes) * number // count for number in range(count + 1)]
        next(content)
        for number, (start, end) in enumerate(pairwise(bounds)):
            left = sum(self.sizes[start:end])
            with self._path(number).open("wb") as stream:
                while left:
                    left -= stream.write(content.send(min(left, WRITE_BYTES)))
        self.counts = [end - start for start, end in pairwise(bounds)]
        for path in whole:
            path.unlink()

    def _path(self, number: int) -> Path:
        return self.folder / f".{self.name}.{number:05d}"


def _chunks(paths: list[Path]) -> Generator[bytes, int, None]:
    """The content of files, one after the other, in chunks of at most the number of bytes that is sent."""
    size = yield b""
    for path in paths:
        with path.open("rb", buffering=0) as stream:
            while data := stream.read(size):
                size = yield data


def _file(split: str, number: int, count: int) -> str:
    """The name of a record file, by TFDS's default template."""
    return f"{NAME}-{split}.tfrecord-{number:05d}-of-{count:05d}"


def describe(folder: Path, features: Mapping[str, Any], splits: list[Split], *, text: str, licence: str) -> None:
    """Write the metadata with which TFDS opens the folder. Neither this nor its import (0.4 s) imports TensorFlow."""
    import tensorflow_datasets

    template = tensorflow_datasets.core.ShardedFileTemplate(
        data_dir=folder, dataset_name=NAME, filetype_suffix="tfrecord"
    )
    tensorflow_datasets.folder_dataset.write_metadata(
        data_dir=folder,
        features=dict(features),
        split_infos=[
            tensorflow_datasets.core.SplitInfo(
                name=split.name,
                shard_lengths=split.counts,
                num_bytes=split.payload(),
                filename_template=template.replace(split=split.name),
            )
            for split in splits
        ],
        version="1.0.0",
        check_data=False,
        description=text,
        license=licence,
    )


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))
