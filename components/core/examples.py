"""Prepared examples: the small KFP artifact that points to a TFDS directory, and the fast way to read one."""

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from components import storage
from components.core import streaming
from components.core.choices import role
from components.core.errors import PREPARE_AGAIN, StepError

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf
    from markupsafe import Markup

FILE = "examples.json"
KINDS = {"directory": str, "fingerprint": str, "task": str, "source": str, "splits": dict, "info": dict}
READ_BYTES = 1 << 20
# Files read side by side, and records held for shuffling, when a split does not fit into memory.
INTERLEAVED = 16
WINDOW, WINDOW_BYTES = 16384, 2**28


@dataclass(frozen=True)
class Records:
    """Examples as a task writes them.

    Attributes:
        contents: what the network sees of each good example, such as its image; contents of one length may be the rows
            of an array, uint8 [good examples, length].
        features: the other features except the key; name -> array, or list of bytes, [good examples].
        faults: position among the given examples -> what is wrong with that one.
        identities: bytes that are the same for contents which mean the same, such as the same pixels in another
            compression: the keys are their hashes; None if they are the contents.
        sketches: what near duplicates are found by, [good examples, ...], if the task's ``likeness`` compares them.
    """

    contents: "list[bytes] | np.ndarray"
    features: "dict[str, np.ndarray | list[bytes]]"
    faults: dict[int, str]
    identities: list[bytes] | None = None
    sketches: "np.ndarray | None" = None


class Likeness(Protocol):
    """How near duplicates are found by the sketches of examples, [n, ...]; a module.

    Attributes:
        NOUN: what the examples are, in the plural.
    """

    NOUN: str

    def is_comparable(self, sketches: "np.ndarray") -> "np.ndarray":
        """Which tell enough of their example, bool [n]."""

    def codes(self, sketches: "np.ndarray") -> "np.ndarray":
        """Codes, uint64 [n, columns]: near duplicates are neighbours when sorted by one of the columns."""

    def is_plausible(self, one: "np.ndarray", other: "np.ndarray") -> "np.ndarray":
        """Whether the examples of two rows of codes each are worth a comparison, bool [n]."""

    def is_near(self, one: "np.ndarray", other: "np.ndarray") -> "np.ndarray":
        """Whether the examples of two sketches each are near duplicates, bool [n]."""

    def shown(self, pairs: Sequence[tuple[str, bytes, bytes]], info: Any) -> "Markup":
        """Pairs of stored contents for the report, the second from train, each with a caption."""


@dataclass(frozen=True)
class TfdsConversion:
    """How the examples of a data set of TensorFlow Datasets become a task's.

    Attributes:
        info: what the task needs to know of the data; without ``classes`` they are the values of ``label`` that occur.
        convert: one example of TFDS, as arrays, to one as a source gives it.
        undecoded: features that are read as the bytes of their files.
        label: the path of the feature that ``label`` or ``labels`` of an example come from, if it has one.
    """

    info: dict[str, Any]
    convert: Callable[[Mapping[str, Any]], dict[str, Any]]
    undecoded: tuple[str, ...] = ()
    label: tuple[str, ...] = ()


@dataclass(frozen=True)
class PreparedData:
    """Prepared data.

    Attributes:
        directory: where the TFDS directory lies; a local path or ``gs://``.
        fingerprint: a digest of the data's content.
        task: the task's name.
        source: the data source's name.
        splits: split name -> number of examples.
        info: what the task needs to know, such as ``classes`` (names, in the order of the labels); ``encoding`` is
            ``encoded`` where each example is decoded when it is read (JPEG or PNG bytes).
        stream: whether record files in Cloud Storage stay there: ``auto`` depends on the free disk.
    """

    directory: str
    fingerprint: str
    task: str
    source: str
    splits: dict[str, int]
    info: dict[str, Any]
    stream: streaming.When = "auto"

    @classmethod
    def read(cls, artifact: str | Path) -> "PreparedData":
        """Read the artifact's folder.

        Raises:
            StepError: its index is missing or not one that was written here.
        """
        path = Path(artifact) / FILE
        try:
            prepared = cls(**json.loads(path.read_text(encoding="utf-8")))
            if all(isinstance(getattr(prepared, name), kind) for name, kind in KINDS.items()):
                return prepared
            fault = "a value of another kind"
        except (OSError, ValueError, TypeError, RecursionError) as error:
            fault = f"{type(error).__name__}: {error}"
        raise StepError(f"{path} is no index of prepared data ({fault})", advice="prepare the data again")

    def write(self, artifact: str | Path) -> None:
        """Write the artifact's folder."""
        Path(artifact).mkdir(parents=True, exist_ok=True)
        (Path(artifact) / FILE).write_text(json.dumps(asdict(self), indent=1, sort_keys=True))

    def require(self, split: str) -> int:
        """The number of examples in a split, which must exist.

        Raises:
            StepError: the split is absent or empty.
        """
        if not self.splits.get(split):
            raise StepError(f"the data have no {split} split", advice="give data.split a fraction for it")
        return self.splits[split]

    def batches(
        self,
        split: str,
        batch_size: int,
        *,
        shuffle_seed: int | None = None,
        drop_remainder: bool = False,
        skip: int = 0,
    ) -> "tf.data.Dataset":
        """Batches of parsed examples, as the task's ``parse`` gives them: a dict of tensors with a leading batch axis.

        Whole batches are parsed at once, which is several times faster than one example after the other
        (``benchmarks/reading.py``). Without a seed the order is the one on disk. With one it is shuffled, the same
        again for the same seed: the files' order, then records within a window. ``skip`` leaves out so many batches at
        the start without parsing them.

        Raises:
            StepError: the data have no such split.
        """
        import tensorflow as tf

        self.require(split)
        parse = role(self.task, "examples")(self.info).parse
        records = self._records(split, shuffle_seed)
        batches = records.batch(batch_size, drop_remainder=drop_remainder).skip(skip)
        return batches.map(parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)

    def _records(self, split: str, shuffle_seed: int | None) -> "tf.data.Dataset":
        """The serialized examples of a split; the same in the same order, whether copied, mounted or streamed."""
        import tensorflow as tf

        sizes = self._sizes(split)
        streamed = self._stays(sizes) and not storage.mounted(self.directory)
        names = tf.data.Dataset.from_tensor_slices(list(sizes) if streamed else self._local(split, sizes))
        if shuffle_seed is not None:
            names = names.shuffle(len(sizes), seed=shuffle_seed)
        if streamed:
            order = [name.decode() for name in names.as_numpy_iterator()]
            names = streaming.paths(self.directory, storage.manifest(self.directory), order)

        def read(file: "tf.Tensor") -> "tf.data.Dataset":
            if streamed:
                return streaming.records(file, READ_BYTES)
            return tf.data.TFRecordDataset(file, buffer_size=READ_BYTES)

        if shuffle_seed is None:
            return names.flat_map(read)
        return names.interleave(read, cycle_length=INTERLEAVED).shuffle(self._window(split, sizes), seed=shuffle_seed)

    def _window(self, split: str, sizes: dict[str, int]) -> int:
        """How many records to hold for shuffling: fewer where they are large."""
        return max(1, min(WINDOW, int(WINDOW_BYTES * self.splits[split] / sum(sizes.values()))))

    def _stays(self, sizes: dict[str, int]) -> bool:
        return storage.is_remote(self.directory) and streaming.is_enabled(self.stream, sum(sizes.values()))

    def _sizes(self, split: str) -> dict[str, int]:
        """The record files of a split, in order, and their bytes.

        Raises:
            StepError: there are none, or their folder is not whole.
        """
        with _prepare_again(self.directory, split):
            files = storage.manifest(self.directory).files
            sizes = {name: files[name].size for name in sorted(files) if f"-{split}.tfrecord-" in name}
            if not sizes:
                raise FileNotFoundError(split)
            return sizes

    def files(self, split: str) -> list[str]:
        """The record files of a split, in order, as local paths; those in Cloud Storage are copied here, once a
        process, or read where their bucket is mounted if they are to stay there.

        Raises:
            StepError: some of them are gone or damaged.
        """
        return self._local(split, self._sizes(split))

    def _local(self, split: str, sizes: dict[str, int]) -> list[str]:
        """``files`` for a split whose manifest has been read."""
        with _prepare_again(self.directory, split):
            mount = storage.mounted(self.directory) if self._stays(sizes) else ""
            if storage.is_remote(self.directory) and not mount:
                return [str(_copied(self.directory) / name) for name in _fetched(self.directory, tuple(sizes))]
            # Their bytes are checked when they are read: each record has a checksum of its own.
            storage.require(mount or self.directory, sizes)
            return [str(Path(mount or self.directory) / name) for name in sizes]


@contextmanager
def _prepare_again(directory: str, split: str) -> Iterator[None]:
    """What to do about prepared data that are not there as they were written."""
    try:
        yield
    except storage.Damaged as damage:
        raise storage.Damaged(damage.message, advice=PREPARE_AGAIN) from None
    except FileNotFoundError:
        raise StepError(f"{directory} lacks record files for {split}", advice=PREPARE_AGAIN) from None


@cache
def _copied(uri: str) -> Path:
    return Path(tempfile.mkdtemp(prefix="examples-"))


@cache
def _fetched(uri: str, names: tuple[str, ...]) -> tuple[str, ...]:
    storage.download(uri, _copied(uri), names=list(names))
    return names
