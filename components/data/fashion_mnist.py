"""Fashion-MNIST: 60,000 + 10,000 grey images of clothing, 28 x 28, 10 balanced classes (MIT licence)."""

import gzip
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal, Protocol

from components.core.config import Fraction
from components.core.errors import StepError
from components.data import DataSettings, Example, Facts, Source, tfds

# The files of Debian's package dataset-fashion-mnist.
FOLDER = Path("/usr/share/datasets/fashion-mnist")
FILES = {"train": "train", "test": "t10k"}
SIDE = 28
COUNTS = {"train": 60_000, "test": 10_000}
BLOCK = 1024
# In the order of the labels, https://github.com/zalandoresearch/fashion-mnist#labels
CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


class Settings(DataSettings):
    """Fashion-MNIST from the system package, or from TensorFlow Datasets. The 10,000 are the official test split."""

    name: Literal["fashion_mnist"] = "fashion_mnist"
    task: str = "image_classification"
    split: tuple[Fraction, Fraction, Fraction] = (0.9, 0.1, 0.0)

    def input_shape(self) -> tuple[int, ...]:
        return (SIDE, SIDE, 1)


class ByteStream(Protocol):
    def read(self, size: int, /) -> bytes: ...


def facts(settings: Settings) -> Facts:
    return Facts(COUNTS, len(CLASSES))


def installed() -> tuple[str, str]:
    """The folder of the system package's files, empty if they are missing, and advice for that case."""
    return (str(FOLDER) if _present() else "", "make data; else TensorFlow Datasets downloads it")


def source(settings: Settings) -> Source:
    """The images, from the system package's files or from TensorFlow Datasets.

    Raises:
        StepError: neither has them, and they cannot be downloaded.
    """
    packaged = Source(
        info={"classes": list(CLASSES), "image_shape": [SIDE, SIDE, 1], "encoding": "raw"},
        splits={split: lambda split=split: _stream(split) for split in FILES},  # type: ignore[misc]
        counts=COUNTS,
        version="1",
        licence="MIT",
        text="Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017), Zalando SE",
    )
    if _present():
        return packaged
    downloaded = tfds.Settings(dataset="fashion_mnist", image_shape=(SIDE, SIDE, 1))
    other = tfds.source(downloaded, advice="install Debian's package dataset-fashion-mnist (make data)")
    return replace(packaged, splits=other.splits, counts=other.counts, version=other.version)


def _present() -> bool:
    return all(_path(split, kind).is_file() for split in FILES for kind in ("images-idx3", "labels-idx1"))


def _path(split: str, kind: str) -> Path:
    return FOLDER / f"{FILES[split]}-{kind}-ubyte.gz"


def _stream(split: str) -> Iterator[Example]:
    """The images of the IDX files, a block at a time (http://yann.lecun.com/exdb/mnist describes the format)."""
    import numpy as np

    with gzip.open(_path(split, "images-idx3")) as images, gzip.open(_path(split, "labels-idx1")) as labels:
        count, height, width = _header(images, 3)
        if (height, width) != (SIDE, SIDE) or _header(labels, 1) != (count,):
            raise StepError(f"{_path(split, 'images-idx3')} and its labels do not belong together")
        for start in range(0, count, BLOCK):
            size = min(BLOCK, count - start)
            pixels = np.frombuffer(_read(images, size * SIDE * SIDE), np.uint8).reshape(size, SIDE, SIDE, 1)
            for image, label in zip(pixels, _read(labels, size), strict=True):
                yield {"image": image, "label": label}


def _header(stream: ByteStream, dimensions: int) -> tuple[int, ...]:
    """The sizes in the header of an IDX file of bytes."""
    magic, *sizes = struct.unpack(f">{1 + dimensions}I", _read(stream, 4 * (1 + dimensions)))
    if magic != 0x0800 + dimensions:
        raise StepError(f"{getattr(stream, 'name', 'a file')} is not an IDX file of {dimensions} dimensions")
    return tuple(sizes)


def _read(stream: ByteStream, size: int) -> bytes:
    """The next ``size`` bytes.

    Raises:
        StepError: the file is truncated or corrupt.
    """
    try:
        data = stream.read(size)
    except (EOFError, OSError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        data = b""
    if len(data) != size:
        name = getattr(stream, "name", "a file")
        raise StepError(f"{name} is truncated or corrupt", advice="install dataset-fashion-mnist again")
    return data
