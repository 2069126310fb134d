"""Prepared examples: the small KFP artifact that points to a TFDS directory, and the fast way to read one."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.core.errors import StepError

if TYPE_CHECKING:
    import tensorflow as tf

FILE = "examples.json"


@dataclass(frozen=True)
class Examples:
    """Prepared data.

    Attributes:
        directory: where the TFDS directory lies; a local path or ``gs://``.
        fingerprint: a digest of the data's content.
        task: the task's name.
        source: the data source's name.
        splits: split name -> number of examples.
        info: what the task needs to know, such as ``classes`` (names, in the order of the labels) and
            ``image_shape`` (height, width, channels); ``encoding`` is ``raw`` or ``encoded`` (JPEG or PNG bytes).
    """

    directory: str
    fingerprint: str
    task: str
    source: str
    splits: dict[str, int]
    info: dict[str, Any]

    @classmethod
    def read(cls, artifact: str | Path) -> "Examples":
        """Read the artifact's folder."""
        values = json.loads((Path(artifact) / FILE).read_text())
        return cls(**values)

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
        repeat: bool = False,
    ) -> "tf.data.Dataset":
        """Batches of parsed examples, as the task's ``parse`` gives them: a dict of tensors with a leading batch axis.

        Whole batches are parsed at once, which is several times faster than one example after the other
        (``benchmarks/reading.py``). With a seed the order differs from epoch to epoch and is the same again for
        the same seed; without one it is the order on disk.
        """
        raise NotImplementedError
