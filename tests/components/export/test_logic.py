import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components import registry, storage
from components.core.errors import StepError

DAMAGED = ("trained/model.keras", "trained/training.json", "verdict/verdict.json", "verdict/predictions.npz")
TIMES = ("p50_us_batch1", "p99_us_batch1", "p50_us_batch64", "p99_us_batch64")


def test_an_accepted_model_is_published_in_every_format(judged: Any) -> None:
    outputs = judged.export()
    champion = registry.champion(judged.registry)
    assert champion and champion.id == outputs["exported"].metadata["version"]
    files = {path.name for path in champion.folder.iterdir()}
    assert files == {
        *("model.keras", "model.tflite", "model_dynamic.tflite", "model_int8.tflite", "model.onnx", "saved_model"),
        *("card.md", "card.html", "version.json", storage.MANIFEST),
    }
    version = champion.version()
    assert version["info"]["classes"] == [f"digit {label}" for label in range(10)]
    assert version["evaluation"]["top_k"] == 3
    verdict = json.loads((judged.root / "verdict" / "verdict.json").read_text())
    assert version["metrics"] == verdict["metrics"]
    assert Path(outputs["card"].path).read_text().startswith("# Model card: digits")


def test_the_benchmark_has_flat_numbers_for_every_format(judged: Any) -> None:
    outputs = judged.export(formats=("litert", "onnx"))
    numbers = outputs["benchmark"].metadata
    assert set(numbers) == {
        f"{name}_{what}" for name in ("litert", "onnx") for what in ("bytes", "difference", "metric_change", *TIMES)
    }
    assert all(isinstance(value, int | float) for value in numbers.values())


def test_the_same_model_again_is_the_same_version_and_stays_champion(judged: Any) -> None:
    first = judged.export(formats=("litert",))["exported"]
    described = (Path(first.path) / "version.json").read_bytes()
    judged.verdict(champion=first.metadata["version"])
    second = judged.export(formats=("litert",))["exported"]
    assert second.metadata["version"] == first.metadata["version"] == registry.state(judged.registry)
    assert (Path(second.path) / "version.json").read_bytes() == described


def test_other_settings_make_another_version(judged: Any) -> None:
    first = judged.export(formats=("litert",))["exported"].metadata["version"]
    judged.verdict(champion=first)
    second = judged.export(formats=("onnx",))["exported"].metadata["version"]
    assert second != first and registry.state(judged.registry) == second


def test_a_champion_published_meanwhile_stays(judged: Any) -> None:
    first = judged.export(formats=("litert",))["exported"].metadata["version"]
    with pytest.raises(StepError, match=f"the champion changed from none to {first}") as caught:
        judged.export(formats=("onnx",))
    assert caught.value.kind == "conflict"
    assert registry.state(judged.registry) == first


def test_a_model_trained_in_mixed_precision_is_exported_in_float32(pristine: Any, tmp_path: Path) -> None:
    judged = pristine.copy(tmp_path / "mixed")
    judged.train("mixed_bfloat16")
    judged.export()
    assert registry.champion(judged.registry)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"accepted": False}, "the verdict refuses this model"),
        ({"data": "others"}, "the verdict is about the data others"),
    ],
)
def test_a_verdict_that_does_not_accept_this_model_publishes_nothing(
    values: dict[str, Any], message: str, judged: Any
) -> None:
    judged.verdict(**values)
    with pytest.raises(StepError, match=message):
        judged.export()
    assert registry.champion(judged.registry) is None


def test_labels_other_than_the_judged_ones_publish_nothing(judged: Any) -> None:
    path = judged.root / "verdict" / "predictions.npz"
    with np.load(path) as arrays:
        spoilt = dict(arrays) | {"true_label": (arrays["true_label"] + 1) % 10}
    np.savez(path, **spoilt)
    with pytest.raises(StepError, match="evaluate saw another label of the test example"):
        judged.export()
    assert registry.champion(judged.registry) is None


@pytest.mark.parametrize("file", DAMAGED)
def test_a_damaged_input_is_named_in_one_line(file: str, judged: Any) -> None:
    (judged.root / file).write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(StepError, match=Path(file).name.replace(".", r"\.")) as caught:
        judged.export()
    assert "\n" not in str(caught.value)
    assert registry.champion(judged.registry) is None
