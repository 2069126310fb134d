"""Record files larger than this machine's disk: read from a mounted bucket, or fetched a few at a time."""

import shutil
import tempfile
import weakref
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from components import storage

if TYPE_CHECKING:
    import tensorflow as tf

When = Literal["auto", "always", "never"]
# The share of the free disk that copies may take; the rest is for logs, checkpoints and models.
SHARE = 0.5
# Files fetched ahead, which are on the disk together with those being read.
AHEAD = 2


def is_enabled(when: When, total: int) -> bool:
    """Whether to stream files of ``total`` bytes: ``auto`` copies them if they take at most half of the free disk."""
    if when == "auto":
        return total > SHARE * shutil.disk_usage(tempfile.gettempdir()).free
    return when == "always"


def paths(uri: str, written: storage.Manifest, names: Sequence[str]) -> "tf.data.Dataset":
    """Local paths of a stored folder's files, fetched ahead in this order and checked against its manifest."""
    import tensorflow as tf

    return tf.data.Dataset.from_generator(
        lambda: _Fetched(uri, written, names), output_signature=tf.TensorSpec((), tf.string)
    )


def records(path: "tf.Tensor", read_bytes: int) -> "tf.data.Dataset":
    """The records of a file from ``paths``, which is removed after the last one."""
    import tensorflow as tf

    removed = tf.data.Dataset.from_tensors(path).map(
        lambda path: tf.ensure_shape(tf.numpy_function(_remove, [path], tf.string), ())
    )
    return tf.data.TFRecordDataset(path, buffer_size=read_bytes).concatenate(removed.filter(lambda _: False))


def _remove(path: bytes) -> bytes:
    shutil.rmtree(Path(path.decode()).parent, ignore_errors=True)
    return path


class _Fetched:
    """One pass over the files. TensorFlow releases it with its own iterator, and the remaining files are removed."""

    def __init__(self, uri: str, written: storage.Manifest, names: Sequence[str]) -> None:
        self._uri, self._written, self._names = uri, written, enumerate(names)
        self._folder = Path(tempfile.mkdtemp(prefix="stream-"))
        self._pool = ThreadPoolExecutor(AHEAD)
        self._pending: deque[Future[str]] = deque()
        weakref.finalize(self, _clear, self._pool, self._folder)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        for number, name in islice(self._names, AHEAD + 1 - len(self._pending)):
            self._pending.append(self._pool.submit(_fetch, self._uri, self._folder / str(number), self._written, name))
        if not self._pending:
            raise StopIteration
        return self._pending.popleft().result()


def _fetch(uri: str, folder: Path, written: storage.Manifest, name: str) -> str:
    return str(storage.fetch(uri, folder, written.subset([name], uri)) / name)


def _clear(pool: ThreadPoolExecutor, folder: Path) -> None:
    pool.shutdown(cancel_futures=True)
    shutil.rmtree(folder, ignore_errors=True)
