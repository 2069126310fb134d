"""Any data set of TensorFlow Datasets, by name; the task converts its examples."""

import json
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from components.core.choices import nearest, role
from components.core.config import FROM_ONE_LINE, Positive
from components.core.errors import StepError
from components.core.examples import TfdsConversion
from components.data import MAX_CLASSES, DataSettings, Example, Facts, Source, Stream

if TYPE_CHECKING:
    import tensorflow_datasets

DOWNLOADS = True
# Probed before a download: without a network, TFDS fails only after minutes.
PROBE = "https://storage.googleapis.com"
TIMEOUT_S = 2.0
# File formats that TFDS reads without tf.data.
RANDOM_ACCESS = ("array_record", "parquet")
# Where a description of features names their classes, in any of its three spellings, and the package that may be named.
CLASS_KEYS = ("pythonClassName", "python_class_name", "type")
OWN = "tensorflow_datasets."
# Examples of the splits, number of classes, and the images' shape if all have the same, from the catalog of TensorFlow
# Datasets (tensorflow.org/datasets/catalog). TFDS itself has them only for prepared data sets.
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
        dataset: its name, optionally with a configuration and version: ``cifar10``, ``imagenet2012:5.1.0``.
        train: the split, or sub-split such as ``train[:10%]``, to train and validate on.
        test: the official test split; empty takes one from train by ``split``.
        image_shape: height, width and channels of the model's input; encoded images of other sizes are resized.
            Only for tasks with images.
        languages: for translation, of source and target, such as ``de,en``; empty for its supervised keys' order,
            or else that of their names.
        input: the feature of the picture or text; empty for the data set's own choice (its supervised keys), the usual
            name, or the only feature of that kind.
        label: the feature of the class, for detection the one within the objects; empty for the same.
    """

    name: Literal["tfds"] = "tfds"
    task: str = "image_classification"
    dataset: Annotated[str, Field(min_length=1)]
    train: str = "train"
    test: str = "test"
    image_shape: tuple[Positive, Positive, Positive] | tuple[()] = ()
    languages: Annotated[tuple[str, ...], FROM_ONE_LINE] = ()
    input: str = ""
    label: str = ""

    def input_shape(self) -> tuple[int, ...]:
        return self.image_shape


def facts(settings: Settings) -> Facts | None:
    """Counts of the settings' splits from the table; None if they are not in it."""
    name = settings.dataset.partition(":")[0]
    # The table has some configurations by their own names.
    counts, classes, shape = KNOWN.get(name) or KNOWN.get(name.partition("/")[0]) or ({}, 0, ())
    if settings.train not in counts:
        return None
    splits = {"train": counts[settings.train]}
    if settings.test in counts:
        splits["test"] = counts[settings.test]
    return Facts(splits, classes, encoded=bool(settings.image_shape) and shape != settings.image_shape)


def source(settings: Settings, advice: str = "") -> Source:
    """The data set, downloaded and prepared by TFDS if it is not on this machine.

    Args:
        advice: another way to get the data, for the error message.

    Raises:
        StepError: the data set or a split does not exist, cannot be downloaded, or does not suit the task.
    """
    network = Network()  # probes during the imports
    builder = _builder(settings.dataset)
    if not builder.is_prepared():
        _download(builder, settings.dataset, advice, network)
    splits = {"train": settings.train} | ({"test": settings.test} if settings.test else {})
    return from_builder(builder, settings.dataset, splits, settings)


def _builder(name: str) -> "tensorflow_datasets.core.DatasetBuilder":
    import tensorflow_datasets as tfds

    try:
        return tfds.builder(name, try_gcs=False)
    except tfds.core.DatasetNotFoundError:
        plain = name.partition("/")[0].partition(":")[0]
        raise StepError(f"TensorFlow Datasets has no {name!r}", advice=nearest(plain, _similar(plain))) from None
    except (AssertionError, ValueError) as error:
        raise StepError(f"TensorFlow Datasets cannot open {name!r}: {str(error).splitlines()[0]}") from None


def _similar(name: str) -> list[str]:
    """The few data sets with a similar name, out of hundreds."""
    import tensorflow_datasets as tfds

    names = tfds.list_builders(with_community_datasets=False)
    return get_close_matches(name, names, n=5, cutoff=0.5) or ["cifar10", "imagenet2012", "mnist"]


def _download(builder: Any, name: str, advice: str, network: "Network") -> None:
    """Let TFDS download and prepare a data set, if there is a network or its files were downloaded by hand.

    Raises:
        StepError: it cannot; the advice lists other ways to get the data.
    """
    import tensorflow_datasets as tfds

    root = Path(builder.data_dir).parents[builder.info.full_name.count("/")]
    manual = root / "downloads" / "manual" if builder.MANUAL_DOWNLOAD_INSTRUCTIONS else None
    options = [advice] if advice else []
    options += [f"put the files named on TFDS's page of {name} into {manual}"] if manual else ["connect to the network"]
    advice = ", or ".join([*options, f"copy a prepared {name} to {builder.data_dir}"])
    by_hand = manual is not None and manual.is_dir() and any(manual.iterdir())
    if not by_hand and not network.reachable():
        reason = f" ({network.fault})" if network.fault else ""
        raise StepError(f"{name} is not on this machine and there is no network to download it{reason}", advice=advice)
    try:
        builder.download_and_prepare(download_config=tfds.download.DownloadConfig(try_download_gcs=False))
    except Exception as error:  # TFDS raises whatever its downloader and its builders raise
        if isinstance(error, OSError) and error.errno:
            raise  # such as a full disk, which has a message of its own
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise StepError(f"{name} could not be downloaded: {reason}", advice=advice) from error


class Network:
    """Whether there is a network, probed as TFDS downloads, by the proxy of HTTPS_PROXY if any. It is probed in a
    thread: the look-up of a name has no time limit of its own.

    Attributes:
        fault: why there is none, if that is known.
    """

    def __init__(self) -> None:
        self._deadline = time.monotonic() + TIMEOUT_S
        self._connected = False
        self.fault = ""
        self._thread = threading.Thread(target=self._connect, daemon=True)
        self._thread.start()

    def _connect(self) -> None:
        try:
            # Each has the proxies of now: urlopen keeps those of its first call.
            urllib.request.build_opener().open(PROBE, timeout=TIMEOUT_S).close()
            self._connected = True
        except urllib.error.HTTPError:
            self._connected = True  # the server has answered
        except Exception as error:  # whatever a proxy answers
            reason = getattr(error, "reason", error)
            # Somebody has answered; if the certificate is the problem, the download says so.
            self._connected = isinstance(reason, ssl.SSLError)
            self.fault = str(reason)

    def reachable(self) -> bool:
        """The result, at most TIMEOUT_S after the start of the probe."""
        self._thread.join(max(0.0, self._deadline - time.monotonic()))
        return self._connected


def from_builder(builder: Any, name: str, splits: dict[str, str], settings: DataSettings) -> Source:
    """The source of a builder whose data are prepared.

    Args:
        splits: our split -> the builder's split or sub-split.
        settings: the task's name, and other settings that the task reads.

    Raises:
        StepError: a split does not exist, or the features do not suit the task.
    """
    reading = _reading(builder, name, settings)
    counts: dict[str, int] = {}
    for ours, split in splits.items():
        for plain in split_names(split):
            if plain not in builder.info.splits:
                raise StepError(f"{name} has no split {plain!r}", advice=nearest(plain, builder.info.splits))
        try:
            counts[ours] = builder.info.splits[split].num_examples
        except (AssertionError, ValueError) as error:
            raise StepError(f"{split!r} is not a split of {name}: {str(error).splitlines()[0]}") from None
    if reading.label and "classes" not in reading.info:
        reading = _with_classes(reading, builder, name, splits.values())
    return Source(
        info=reading.info,
        splits={ours: _stream(builder, theirs, reading) for ours, theirs in splits.items()},
        counts=counts,
        version=str(builder.version),
        licence=builder.info.redistribution_info.license or "not stated",
        text=f"{name} of TensorFlow Datasets",
    )


def _reading(builder: Any, name: str, settings: DataSettings) -> TfdsConversion:
    """The task's conversion of the data set.

    Raises:
        StepError: the features do not suit the task.
    """
    keys = builder.info.supervised_keys or ()
    supervised = keys if all(isinstance(key, str) for key in keys) else ()
    examples = role(settings.task, "examples")
    try:
        conversion: TfdsConversion = examples.from_tfds(builder.info.features, settings, supervised)
    except ValueError as error:
        raise StepError(f"{name} {error}") from None
    return conversion


def _with_classes(reading: TfdsConversion, builder: Any, name: str, splits: Iterable[str]) -> TfdsConversion:
    """A conversion whose classes are the values of its label that occur in the splits, sorted.

    Raises:
        StepError: there are too many.
    """
    path = reading.label
    values: set[Any] = set()
    only: Any = {path[-1]: True}
    for outer in path[:-1]:
        only = {outer: only}
    for split in splits:
        for example in _read(builder, split, undecoded=reading.undecoded, only=only):
            values |= set(_values(example, path))
            if len(values) > MAX_CLASSES:
                raise StepError(
                    f"{name} has more than {MAX_CLASSES} different values in {path[-1]}",
                    advice="set data.label to the feature of the classes",
                )
    numbers = {value: number for number, value in enumerate(sorted(values - {""}))}

    def convert(example: Mapping[str, Any]) -> Example:
        converted = reading.convert(example)
        if "labels" not in converted:
            label = numbers.get(_plain(converted["label"]))
            missing = {"fault": "there is no label"} if label is None else {}
            return {**converted, "label": label or 0, **missing}
        labels = [numbers.get(_plain(value)) for value in converted["labels"]]
        missing = {"fault": f"object {labels.index(None) + 1} has no label"} if None in labels else {}
        return {**converted, "labels": labels, **missing}

    return replace(reading, info={**reading.info, "classes": [str(value) for value in numbers]}, convert=convert)


def _values(example: Any, path: Iterable[str]) -> list[Any]:
    """The labels of an example: one, or one for each object."""
    for name in path:
        example = example[name]
    return [_plain(value) for value in example] if getattr(example, "ndim", 0) else [_plain(example)]


def _plain(value: Any) -> Any:
    """A label as a Python value; a text without the space around it."""
    value = value.item() if hasattr(value, "item") else value
    return value.decode("utf-8", "surrogateescape").strip() if isinstance(value, bytes) else value


def split_names(split: str) -> list[str]:
    """The splits in a split expression: ``train[:10%]+test`` has two."""
    return [part.partition("[")[0].strip() for part in split.split("+")]


def _stream(builder: Any, split: str, reading: TfdsConversion) -> Stream:
    def stream() -> Iterator[Example]:
        for number, example in enumerate(_read(builder, split, undecoded=reading.undecoded)):
            yield {**reading.convert(example), "name": f"{split} example {number}"}

    return stream


def _read(builder: Any, split: str, *, undecoded: Iterable[str] = (), only: Any = None) -> Iterator[Any]:
    """The examples of a split as arrays.

    Args:
        undecoded: features that are read as the bytes of their files.
        only: the features that are needed, as TFDS's partial decoding takes them; all if not given.

    Raises:
        StepError: the files cannot be read.
    """
    import tensorflow_datasets as tfds

    whole = {name: tfds.decode.SkipDecoding() for name in undecoded} or None
    try:
        if str(builder.info.file_format.value) in RANDOM_ACCESS:
            yield from builder.as_data_source(split=split, decoders=whole)  # which knows no partial decoding
        else:
            decoders = tfds.decode.PartialDecoding(only) if only else whole
            yield from tfds.as_numpy(builder.as_dataset(split=split, shuffle_files=False, decoders=decoders))
    except (NotImplementedError, ImportError) as error:
        raise StepError(f"the files of {builder.info.full_name} cannot be read: {error}") from error


def require_own_features(folder: Path) -> None:
    """Refuse a description that names features of another package than TFDS: opening it would run that package.

    Raises:
        StepError: it does, or it is not JSON.
    """
    path = folder / "features.json"
    try:
        pending = [json.loads(path.read_text(encoding="utf-8"))] if path.exists() else []
        while pending:
            value = pending.pop()
            if isinstance(value, dict):
                pending += value.values()
                named = [part for key, part in value.items() if key in CLASS_KEYS and isinstance(part, str)]
                if foreign := [part for part in named if "." in part and not part.startswith(OWN)]:
                    advice = "prepare the data again with features of tensorflow_datasets"
                    raise StepError(f"{path} names {foreign[0]}, code that it would run", advice=advice)
            elif isinstance(value, list):
                pending += value
            elif isinstance(value, str) and value.startswith("{"):
                pending.append(json.loads(value))
    except (OSError, ValueError, RecursionError) as error:
        raise StepError(f"{path} cannot be read: {error}") from None
