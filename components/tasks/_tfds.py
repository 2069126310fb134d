"""What a task takes of a data set of TensorFlow Datasets."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Reading:
    """How a data set's examples become a task's.

    Attributes:
        info: what the task needs to know of the data.
        convert: one example of TFDS, as arrays, to one as a source gives it.
        undecoded: features whose files' bytes are taken as they are.
    """

    info: dict[str, Any]
    convert: Callable[[Mapping[str, Any]], dict[str, Any]]
    undecoded: tuple[str, ...] = ()
