"""Data sets as TensorFlow Datasets itself writes them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

BOX = (0.1, 0.2, 0.5, 0.6)


def picture(number: int) -> np.ndarray:
    """Noise, uint8 [8, 6, 3]."""
    return np.random.default_rng(number).integers(0, 256, (8, 6, 3), np.uint8)


def write(
    folder: Path,
    features: dict[str, Any],
    example: Callable[[int], dict[str, Any]],
    *,
    splits: Sequence[str] = ("train",),
    count: int = 6,
    file_format: str = "tfrecord",
    supervised: Any = None,
) -> str:
    """Write splits of equal examples, 0 to ``count`` - 1, and return the directory of their version."""
    import tensorflow_datasets as tfds

    class Mine(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[misc]
        VERSION, name = tfds.core.Version("1.0.0"), "mine"

        def _info(self) -> Any:
            described = tfds.features.FeaturesDict(features)
            return tfds.core.DatasetInfo(builder=self, features=described, supervised_keys=supervised)

        def _split_generators(self, manager: Any) -> Any:
            return {split: self._generate_examples() for split in splits}

        def _generate_examples(self) -> Any:
            for number in range(count):
                yield number, example(number)

    builder = Mine(data_dir=str(folder), file_format=file_format)
    builder.download_and_prepare()
    return str(builder.data_dir)
