"""Any data set of TensorFlow Datasets, by its name; the task takes what it needs of it."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from components.core.choices import nearest, role
from components.core.config import FROM_ONE_LINE, Positive
from components.core.errors import StepError
from components.core.examples import TfdsConversion
from components.data import DataSettings, Example, Facts, Source, Stream

if TYPE_CHECKING:
    import tensorflow_datasets

DOWNLOADS = True
# Who answers here can download; without a network, TFDS itself takes minutes to say so.
REACHED = ("storage.googleapis.com", 443)
PATIENCE = 2.0
# Examples of the splits, classes, and the pictures' shape where all have one: as the data sets' pages in the catalog of
# TensorFlow Datasets give them (tensorflow.org/datasets/catalog). TFDS itself knows only what has been prepared.
KNOWN: dict[str, tuple[dict[str, int], int, tuple[int, ...]]] = {
    "cifar10": ({"train": 50_000, "test": 10_000}, 10, (32, 32, 3)),
    "cifar100": ({"train": 50_000, "test": 10_000}, 100, (32, 32, 3)),
    "mnist": ({"train": 60_000, "test": 10_000}, 10, (28, 28, 1)),
    "fashion_mnist": ({"train": 60_000, "test": 10_000}, 10, (28, 28, 1)),
    "svhn_cropped": ({"train": 73_257, "test": 26_032, "extra": 531_131}, 10, (32, 32, 3)),
    "imagenet2012": ({"train": 1_281_167, "validation": 50_000}, 1000, ()),
    "imagenette": ({"train": 9_469, "validation": 3_925}, 10, ()),
    "food101": ({"train": 75_750, "validation": 25_250}, 101, ()),
    "tf_flowers": ({"train": 3_670}, 5, ()),
    "cats_vs_dogs": ({"train": 23_262}, 2, ()),
    "imdb_reviews": ({"train": 25_000, "test": 25_000, "unsupervised": 50_000}, 2, ()),
    "coco/2017": ({"train": 118_287, "validation": 5_000, "test": 40_670}, 80, ()),
    "voc/2007": ({"train": 2_501, "validation": 2_510, "test": 4_952}, 20, ()),
    "voc/2012": ({"train": 5_717, "validation": 5_823, "test": 10_991}, 20, ()),
    "wmt16_translate/de-en": ({"train": 4_548_885, "validation": 2_169, "test": 2_999}, 0, ()),
    "wmt14_translate/de-en": ({"train": 4_508_785, "validation": 3_000, "test": 3_003}, 0, ()),
    "ted_hrlr_translate/pt_to_en": ({"train": 51_785, "validation": 1_193, "test": 1_803}, 0, ()),
}


class Settings(DataSettings):
    """A data set of TensorFlow Datasets.

    Attributes:
        dataset: its name there, with a configuration and version where wanted: ``cifar10``, ``imagenet2012:5.1.0``.
        train: the split, or sub-split such as ``train[:10%]``, to train and validate on.
        test: the official test split; empty cuts one from train by ``split``.
        image_shape: height, width and channels that the model sees; encoded pictures of other sizes are resized.
            Not for tasks without pictures.
        languages: for translation, of source and target, such as ``de,en``; empty takes the data set's own order.
    """

    name: Literal["tfds"] = "tfds"
    task: str = "image_classification"
    dataset: Annotated[str, Field(min_length=1)]
    train: str = "train"
    test: str = "test"
    image_shape: tuple[Positive, Positive, Positive] | tuple[()] = ()
    languages: Annotated[tuple[str, ...], FROM_ONE_LINE] = ()

    def input_shape(self) -> tuple[int, ...]:
        return self.image_shape


def facts(settings: Settings) -> Facts | None:
    """What is known of the data set and the splits asked for, or None."""
    name = settings.dataset.partition(":")[0]
    # Some configurations of a name are data sets of their own.
    counts, classes, shape = KNOWN.get(name) or KNOWN.get(name.partition("/")[0]) or ({}, 0, ())
    if settings.train not in counts:
        return None
    taken = {"train": counts[settings.train]}
    if settings.test in counts:
        taken["test"] = counts[settings.test]
    return Facts(taken, classes, encoded=bool(settings.image_shape) and shape != settings.image_shape)


def source(settings: Settings, advice: str = "") -> Source:
    """The data set, downloaded and prepared by TFDS where it is not there yet.

    Args:
        advice: another way to get the data, for the error that they are missing.

    Raises:
        StepError: there is no such data set or split, it cannot be downloaded, or it has not what the task needs.
    """
    network = Network()  # asked while the imports go on
    builder = _builder(settings.dataset)
    if not builder.is_prepared():
        _download(builder, settings.dataset, advice, network)
    wanted = {"train": settings.train} | ({"test": settings.test} if settings.test else {})
    return opened(builder, settings.dataset, wanted, settings)


def _builder(name: str) -> "tensorflow_datasets.core.DatasetBuilder":
    import tensorflow_datasets as tfds

    try:
        return tfds.builder(name, try_gcs=False)
    except tfds.core.DatasetNotFoundError:
        plain = name.partition("/")[0].partition(":")[0]
        raise StepError(f"TensorFlow Datasets has no {name!r}", advice=nearest(plain, _known(plain))) from None
    except (AssertionError, ValueError) as error:
        raise StepError(f"TensorFlow Datasets cannot open {name!r}: {str(error).splitlines()[0]}") from None


def _known(name: str) -> list[str]:
    """The few data sets whose names look alike: there are hundreds of others."""
    import tensorflow_datasets as tfds

    known = tfds.list_builders(with_community_datasets=False)
    return get_close_matches(name, known, n=5, cutoff=0.5) or ["cifar10", "imagenet2012", "mnist"]


def _download(builder: Any, name: str, advice: str, network: "Network") -> None:
    """Let TFDS download and prepare a data set, where there is a network or all it needs was brought by hand.

    Raises:
        StepError: it cannot; the ways to get the data are named.
    """
    import tensorflow_datasets as tfds

    root = Path(builder.data_dir).parents[builder.info.full_name.count("/")]
    manual = root / "downloads" / "manual" if builder.MANUAL_DOWNLOAD_INSTRUCTIONS else None
    ways = [advice] if advice else []
    ways += [f"put the files that TFDS's page of {name} names into {manual}"] if manual else ["connect to the network"]
    way = ", or ".join([*ways, f"copy a prepared {name} to {builder.data_dir}"])
    brought = manual is not None and manual.is_dir() and any(manual.iterdir())
    if not brought and not network.reached():
        raise StepError(f"{name} is not on this machine and there is no network to download it", advice=way)
    try:
        builder.download_and_prepare(download_config=tfds.download.DownloadConfig(try_download_gcs=False))
    except Exception as error:  # TFDS raises whatever its downloader and its builders raise
        if isinstance(error, OSError) and error.errno:
            raise  # a full disk, told as such
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise StepError(f"{name} could not be downloaded: {reason}", advice=way) from error


class Network:
    """Whether there is a network, asked in a thread: looking up a name has no time limit of its own."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._answers: list[bool] = []
        self._thread = threading.Thread(target=self._connect, daemon=True)
        self._thread.start()

    def _connect(self) -> None:
        with suppress(OSError):
            socket.create_connection(REACHED, timeout=PATIENCE).close()
            self._answers.append(True)

    def reached(self) -> bool:
        """The answer, PATIENCE seconds after the question at the latest."""
        self._thread.join(max(0.0, self._began + PATIENCE - time.monotonic()))
        return bool(self._answers)


def opened(builder: Any, name: str, wanted: dict[str, str], settings: DataSettings) -> Source:
    """A builder whose data are there, as a source.

    Args:
        wanted: our split -> the split or sub-split to take.
        settings: the task's name, and whatever else the task looks at.

    Raises:
        StepError: it has no such split, or not the features that the task needs.
    """
    reading = _reading(builder, name, settings)
    counts = {}
    for ours, split in wanted.items():
        for plain in named(split):
            if plain not in builder.info.splits:
                raise StepError(f"{name} has no split {plain!r}", advice=nearest(plain, builder.info.splits))
        try:
            counts[ours] = builder.info.splits[split].num_examples
        except (AssertionError, ValueError) as error:
            raise StepError(f"{split!r} is no split of {name}: {str(error).splitlines()[0]}") from None
    return Source(
        info=reading.info,
        splits={ours: _stream(builder, theirs, reading) for ours, theirs in wanted.items()},
        counts=counts,
        version=str(builder.version),
        licence=builder.info.redistribution_info.license or "not stated",
        text=f"{name} of TensorFlow Datasets",
    )


def _reading(builder: Any, name: str, settings: DataSettings) -> TfdsConversion:
    """What the task takes of the data set.

    Raises:
        StepError: nothing.
    """
    try:
        conversion: TfdsConversion = role(settings.task, "examples").from_tfds(builder.info.features, settings)
    except ValueError as error:
        raise StepError(f"{name} {error}") from None
    return conversion


def named(split: str) -> list[str]:
    """The splits that a split's text names: ``train[:10%]+test`` names two."""
    return [part.partition("[")[0].strip() for part in split.split("+")]


def _stream(builder: Any, split: str, reading: TfdsConversion) -> Stream:
    def stream() -> Iterator[Example]:
        import tensorflow_datasets as tfds

        whole = {name: tfds.decode.SkipDecoding() for name in reading.undecoded}
        data = builder.as_dataset(split=split, shuffle_files=False, decoders=whole or None)
        for number, example in enumerate(tfds.as_numpy(data)):
            yield {**reading.convert(example), "name": f"{split} example {number}"}

    return stream
