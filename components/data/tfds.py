"""Any image data set of TensorFlow Datasets, by its name."""

import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from components.core.config import Positive
from components.core.errors import StepError
from components.core.rooms import nearest
from components.data import DataSettings, Example, Source, Stream

if TYPE_CHECKING:
    import tensorflow_datasets

# Who answers here can download; without a network, TFDS itself takes minutes to say so.
REACHED = ("storage.googleapis.com", 443)
PATIENCE = 2.0


class Settings(DataSettings):
    """A data set of TensorFlow Datasets.

    Attributes:
        dataset: its name there, with a configuration and version where wanted: ``cifar10``, ``imagenet2012:5.1.0``.
        train: the split, or sub-split such as ``train[:10%]``, to train and validate on.
        test: the official test split; empty cuts one from train by ``split``.
        image_shape: height, width and channels that the model sees; encoded pictures of other sizes are resized.
    """

    name: Literal["tfds"] = "tfds"
    dataset: Annotated[str, Field(min_length=1)]
    train: str = "train"
    test: str = "test"
    image_shape: tuple[Positive, Positive, Positive]

    def input_shape(self) -> tuple[int, ...]:
        return self.image_shape


def source(settings: Settings, advice: str = "") -> Source:
    """The data set, downloaded and prepared by TFDS where it is not there yet.

    Args:
        advice: another way to get the data, for the error that they are missing.

    Raises:
        StepError: there is no such data set or split, it cannot be downloaded, or it has no pictures with labels.
    """
    builder = _builder(settings.dataset)
    if not builder.is_prepared():
        _download(builder, settings.dataset, advice)
    wanted = {"train": settings.train} | ({"test": settings.test} if settings.test else {})
    return opened(builder, settings.dataset, wanted, settings.image_shape)


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
    """The data sets whose names begin alike: there are hundreds of others."""
    import tensorflow_datasets as tfds

    known: list[str] = tfds.list_builders(with_community_datasets=False)
    return [other for other in known if other[:1] == name[:1]] or ["cifar10", "mnist", "imagenet2012"]


def _download(builder: "tensorflow_datasets.core.DatasetBuilder", name: str, advice: str) -> None:
    ways = [advice] if advice else []
    ways += ["connect to the network", f"copy a prepared {name} to {builder.data_dir}"]
    try:
        socket.create_connection(REACHED, timeout=PATIENCE).close()
    except OSError:
        raise StepError(
            f"{name} is not on this machine and there is no network to download it", advice=", or ".join(ways)
        ) from None
    import tensorflow_datasets as tfds

    try:
        builder.download_and_prepare(download_config=tfds.download.DownloadConfig(try_download_gcs=False))
    except OSError:
        raise  # a full disk, told as such
    except Exception as error:  # TFDS raises whatever its downloader and its builders raise
        raise StepError(f"{name} could not be downloaded: {error}", advice=", or ".join(ways)) from error


def opened(builder: Any, name: str, wanted: dict[str, str], image_shape: tuple[int, int, int]) -> Source:
    """A builder whose data are there, as a source.

    Args:
        wanted: our split -> the split or sub-split to take.

    Raises:
        StepError: it has no such split, or not the features ``image`` and ``label``.
    """
    import tensorflow_datasets as tfds

    kinds = builder.info.features
    if not isinstance(kinds.get("label"), tfds.features.ClassLabel) or "image" not in kinds:
        raise StepError(f"{name} has {', '.join(kinds)}, where image and label (a class) were expected")
    for split in wanted.values():
        plain = split.partition("[")[0]
        if plain not in builder.info.splits:
            raise StepError(f"{name} has no split {plain!r}", advice=nearest(plain, builder.info.splits))
    raw = tuple(kinds["image"].shape) == tuple(image_shape)
    info = {
        "classes": list(kinds["label"].names),
        "image_shape": list(image_shape),
        "encoding": "raw" if raw else "encoded",
    }
    return Source(
        info=info,
        splits={ours: _stream(builder, theirs, raw) for ours, theirs in wanted.items()},
        version=str(builder.version),
        licence=builder.info.redistribution_info.license or "not stated",
        text=f"{name} of TensorFlow Datasets",
    )


def _stream(builder: Any, split: str, raw: bool) -> Stream:
    def stream() -> Iterator[Example]:
        import tensorflow_datasets as tfds

        whole = None if raw else {"image": tfds.decode.SkipDecoding()}
        data = builder.as_dataset(split=split, shuffle_files=False, decoders=whole)
        for number, example in enumerate(tfds.as_numpy(data)):
            yield {"image": example["image"], "label": int(example["label"]), "name": f"{split} example {number}"}

    return stream
