"""The causal Transformer: what it may see, and that every format holds it, strings and all."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.export import formats, parity, runtime
from components.layers import saved_model
from components.models import causal_transformer
from components.tasks.contract import Task

LENGTH = 16
TEXTS = [b"", b"A film", "größer als ein Fenster, 算力".encode(), b"x" * 300]
FORMATS = ("saved_model", "litert", "litert_dynamic", "onnx")


@pytest.fixture(scope="module")
def network() -> Any:
    from components.core import devices

    settings = causal_transformer.Settings(length=LENGTH, width=16, layers=1, heads=2, ngrams=(2, 4), buckets=64)
    with devices.configured(backend="tensorflow", precision="float32", seed=1):
        model = causal_transformer.build(settings)
    random = np.random.default_rng(0)
    model.set_weights([weight + random.normal(0, 0.3, weight.shape) for weight in model.get_weights()])
    return model


def test_no_place_sees_what_comes_after_it(network: Any) -> None:
    rows = np.random.default_rng(1).integers(0, 256, (2, LENGTH)).astype(np.int32)
    changed = rows.copy()
    changed[:, 9:] = 7
    first, second = np.asarray(network(rows)), np.asarray(network(changed))
    assert first.shape == (2, LENGTH, causal_transformer.TOKENS)
    np.testing.assert_array_equal(first[:, :9], second[:, :9])
    assert (first[:, 9:] != second[:, 9:]).any()


def test_every_format_holds_it_and_the_saved_model_takes_strings(network: Any, tmp_path: Path) -> None:
    network.save(tmp_path / "model.keras")
    model = saved_model.load(tmp_path / "model.keras")
    assets = Task("text_generation", {}).training.assets(model)
    inputs = Task("text_generation", {}).evaluation.encode(TEXTS, assets)
    origin = formats.source(model, Task("text_generation", {}).serving, assets, inputs)
    assert formats.write(origin, tmp_path, FORMATS) == {}
    expected = np.asarray(network(inputs))
    for name in FORMATS:
        bound = 0.05 if name == "litert_dynamic" else 1e-4
        for count in (1, len(inputs)):
            outputs = runtime.load(tmp_path, name).run(inputs[:count])
            assert parity.differences(expected[:count], outputs)[0] < bound, name
    served = runtime.load_signature(tmp_path / runtime.PATHS["saved_model"])
    np.testing.assert_allclose(served(np.array(TEXTS, object)), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"heads": 5}, "cannot be divided among 5 heads"),
        ({"ngrams": [1]}, "greater than or equal to 2"),
        ({"buckets": 2**18}, "less than or equal to 131072"),
    ],
    ids=["heads", "n-gram of one", "buckets"],
)
def test_impossible_settings_are_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        causal_transformer.Settings(**changes)


def test_the_work_inside_its_blocks_is_counted(network: Any) -> None:
    from components.train import compiling

    # Width 16: attention 4 x 16 x 16, the feed-forward network 2 x 16 x 64, two n-grams' vectors of 32, the logits.
    assert compiling.multiply_adds(network) == LENGTH * (4 * 16 * 16 + 2 * 16 * 64 + 2 * 32 * 16 + 16 * 257)
