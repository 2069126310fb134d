"""Reading prepared examples a batch at a time, against ``as_dataset`` of TensorFlow Datasets on the same directory."""

import statistics
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from components.core.examples import PreparedData
from components.data import fashion_mnist
from components.prepare import logic

BATCH, ROUNDS = 256, 5
GOAL = 4.0


def main() -> None:
    """Print both rates, medians of interleaved rounds, in order and shuffled."""
    import tensorflow_datasets as tfds

    with tempfile.TemporaryDirectory() as folder:
        outputs = [SimpleNamespace(path=f"{folder}/{name}", uri="", metadata={}) for name in ("examples", "report")]
        logic.prepare(fashion_mnist.Settings().parameters(), f"{folder}/store", "", *outputs)
        examples = PreparedData.read(Path(folder) / "examples")
        builder = tfds.builder_from_directory(examples.directory)
        # TFDS keeps small splits in memory after the first pass; both are to read files.
        uncached = tfds.ReadConfig(try_autocache=False)
        for name, shuffled in (("in order", False), ("shuffled", True)):
            theirs = builder.as_dataset(split="train", shuffle_files=shuffled, read_config=uncached)
            theirs = (theirs.shuffle(16384, seed=0) if shuffled else theirs).batch(BATCH).prefetch(2)
            ours = examples.batches("train", BATCH, shuffle_seed=0 if shuffled else None)
            # The first round builds the pipelines.
            rates = [(rate(ours), rate(theirs)) for _ in range(ROUNDS + 1)][1:]
            fast, slow = (statistics.median(column) for column in zip(*rates, strict=True))
            verdict = "within" if fast / slow >= GOAL else "MISSED"
            told = f"{fast:9,.0f} examples/s    as_dataset {slow:9,.0f} examples/s"
            print(f"reader, {name}   {told}    ratio {fast / slow:.1f}   {verdict}: at least {GOAL:g}")


def rate(batches: Iterable[Any]) -> float:
    """Examples a second over one pass."""
    began = time.perf_counter()
    count = sum(int(batch["label"].shape[0]) for batch in batches)
    return count / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
