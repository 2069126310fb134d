import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from refusals import one_line

from components.core.errors import StepError
from components.data import fashion_mnist


def idx(folder: Path, count: int, cut: int = 0, magic: int = 0x803) -> None:
    """The four files of Fashion-MNIST with a few pictures; the training pictures cut short by some bytes."""
    for name in ("train", "t10k"):
        pixels = bytes(number % 251 for number in range(count * 784))
        packed = gzip.compress(struct.pack(">4I", magic, count, 28, 28) + pixels)
        (folder / f"{name}-images-idx3-ubyte.gz").write_bytes(packed[: len(packed) - cut])
        written = struct.pack(">2I", 0x801, count) + bytes(number % 10 for number in range(count))
        (folder / f"{name}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(written))


@pytest.mark.skipif(not fashion_mnist.FOLDER.is_dir(), reason="needs Debian's dataset-fashion-mnist")
def test_the_system_package_holds_ten_thousand_balanced_test_pictures() -> None:
    source = fashion_mnist.source(fashion_mnist.Settings())
    assert np.bincount([example["label"] for example in source.splits["test"]()]).tolist() == [1000] * 10


def test_idx_files_are_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    idx(tmp_path, 25)
    monkeypatch.setattr(fashion_mnist, "FOLDER", tmp_path)
    monkeypatch.setattr(fashion_mnist, "BLOCK", 10)
    examples = list(fashion_mnist.source(fashion_mnist.Settings()).splits["train"]())
    assert [example["label"] for example in examples] == [number % 10 for number in range(25)]
    assert examples[24]["image"].ravel().tolist() == [number % 251 for number in range(24 * 784, 25 * 784)]


@pytest.mark.parametrize(
    ("broken", "message"),
    [({"cut": 30}, "is truncated or corrupt"), ({"magic": 0x802}, "is not an IDX file of 3 dimensions")],
)
def test_a_broken_idx_file_is_named(
    broken: dict[str, int], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    idx(tmp_path, 25, **broken)
    monkeypatch.setattr(fashion_mnist, "FOLDER", tmp_path)
    with pytest.raises(StepError, match=message) as failure:
        list(fashion_mnist.source(fashion_mnist.Settings()).splits["train"]())
    assert "train-images-idx3-ubyte.gz" in one_line(failure)


def test_fashion_mnist_tells_what_it_has() -> None:
    facts = fashion_mnist.facts(fashion_mnist.Settings())
    assert (facts.counts, facts.classes) == ({"train": 60_000, "test": 10_000}, 10)
