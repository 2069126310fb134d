"""prepare's writer against a TFDS builder writing the same examples; the whole step's time; its memory at 1x and 10x.

The examples are Fashion-MNIST's, each round of them with other pixel values: 200,000 pictures, no two alike.
"""

import io
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from components.data import Source, fashion_mnist
from components.prepare import filling, logic, writer
from components.tasks.contract import Task

COUNT, ROUNDS = 200_000, 3
SETTINGS = fashion_mnist.Settings(split=(0.8, 0.1, 0.1))
INFO = {"classes": list(fashion_mnist.CLASSES), "image_shape": [28, 28, 1], "encoding": "raw"}
GOAL, MEMORY_GOAL = 8.0, 1.2


def examples(count: int) -> Iterator[dict[str, Any]]:
    """So many examples, a block in memory at a time; round r adds r to every pixel, modulo 256."""
    made = 0
    for turn in range(count):
        block = []
        for example in fashion_mnist._stream("train"):
            if made == count:
                return
            block.append(example)
            if len(block) == 1000:
                images = np.stack([one["image"] for one in block]) + np.uint8(turn)
                for image, one in zip(images, block, strict=True):
                    yield {"image": image, "label": one["label"]}
                made, block = made + len(block), []


def source(count: int) -> Source:
    """The examples as a source without official splits."""
    return Source(
        INFO, {"train": lambda: examples(count)}, {"train": count}, text="Fashion-MNIST, changed", licence="MIT"
    )


class Changed(tfds.core.GeneratorBasedBuilder):  # type: ignore[misc]
    """The yardstick: the same examples, features and splits through TFDS."""

    VERSION = tfds.core.Version("1.0.0")
    MODULE_DOCS = ""
    held: list[dict[str, Any]]
    splits: np.ndarray

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(Task("image_classification", INFO).examples.features())
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {name: self._generate_examples(number) for number, name in enumerate(filling.SPLITS)}

    def _generate_examples(self, number: int) -> Iterator[tuple[int, dict[str, Any]]]:
        for place in np.flatnonzero(self.splits == number).tolist():
            example = self.held[place]
            brightness = int(example["image"].sum()) / (255 * 784)
            yield place, {**example, "key": f"{place:016x}", "brightness": brightness}


def main() -> None:
    """Print both rates with their ratio, then time and memory of the step in processes of their own."""
    import tensorflow as tf  # noqa: F401  TFDS imports it when it writes, and imports do not count

    held = list(examples(COUNT))
    keys = filling.keys_of([example["image"].tobytes() for example in held])
    assert len(np.unique(keys)) == COUNT
    bounds = filling.thresholds(filling.fractions(SETTINGS.split, {"train"}))
    which = filling.CUT[np.searchsorted(bounds, filling.mix(keys, SETTINGS.name), side="right")]
    ours, theirs = statistics.median(_ours(held, which) for _ in range(ROUNDS)), _theirs(held, which)
    rates = f"{ours:9,.0f} records/s    TFDS builder {theirs:9,.0f} records/s"
    print(
        f"writer        {rates}    ratio {ours / theirs:.1f}   {_verdict(ours / theirs >= GOAL, f'at least {GOAL:g}')}"
    )
    small, large = (_step(count) for count in (COUNT // 10, COUNT))
    whole = f"{large['whole']:.1f} s with the start of its process and imports"
    print(f"whole step    {large['seconds']:.1f} s for {COUNT:,} examples, {whole}")
    ratio = large["peak_mb"] / small["peak_mb"]
    peaks = f"{small['peak_mb']:.0f} MB for {COUNT // 10:,} examples, {large['peak_mb']:.0f} MB for {COUNT:,}"
    print(f"peak memory   {peaks}    ratio {ratio:.2f}   {_verdict(ratio <= MEMORY_GOAL, f'at most {MEMORY_GOAL:g}')}")


def _verdict(good: bool, goal: str) -> str:
    return f"{'within' if good else 'MISSED'}: {goal}"


def _ours(held: list[dict[str, Any]], which: np.ndarray) -> float:
    """Records a second of our writer, checks, hashing and description included."""
    with tempfile.TemporaryDirectory() as name:
        folder, began = Path(name), time.perf_counter()
        filled = filling.fill(
            Source(INFO, {"train": lambda: iter(held)}, {"train": len(held)}),
            SETTINGS,
            Task("image_classification", INFO).examples,
            folder,
        )
        for split in filled.splits:
            split.finish()
        writer.describe(
            folder, Task("image_classification", INFO).examples.features(), filled.splits, text="", licence=""
        )
        seconds = time.perf_counter() - began
    assert [len(split.sizes) for split in filled.splits] == np.bincount(which).tolist()
    return len(held) / seconds


def _theirs(held: list[dict[str, Any]], which: np.ndarray) -> float:
    """Records a second of the TFDS builder."""
    tfds.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):
        builder = Changed(data_dir=folder)
        builder.held, builder.splits = held, which
        began = time.perf_counter()
        builder.download_and_prepare(download_config=tfds.download.DownloadConfig(try_download_gcs=False))
        return len(held) / (time.perf_counter() - began)


def _step(count: int) -> dict[str, float]:
    """Seconds and peak memory of the whole step on so many examples."""
    began = time.perf_counter()
    command = [sys.executable, "-c", f"from benchmarks.writing import step; step({count})"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return {**json.loads(done.stdout), "whole": time.perf_counter() - began}


def step(count: int) -> None:
    """Run the step in this process and print what it took."""
    fashion_mnist.source = lambda settings: source(count)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        outputs = [SimpleNamespace(path=f"{folder}/{name}", uri="", metadata={}) for name in ("examples", "report")]
        logic.prepare(SETTINGS.parameters(), f"{folder}/store", "", *outputs)
        seconds = time.perf_counter() - began
    # Not getrusage's peak, which a process inherits from the one that started it.
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert peak
    print(json.dumps({"seconds": seconds, "peak_mb": int(peak[1]) / 1024}))


if __name__ == "__main__":
    main()
