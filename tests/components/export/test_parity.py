"""A format, or a model, that is not the one that was judged never becomes the champion."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components import registry
from components.core.errors import StepError
from components.core.inference import Predictor
from components.export import formats, parity, runtime
from components.export.settings import ExportSettings
from components.tasks import image_classification
from components.tasks.contract import Task

SERVING = Task("image_classification", {}).serving


def wrong_preprocessing(model: Any) -> Any:
    return rebuilt(model, '"scale": 0.00392156862745098', '"scale": 0.00784313725490196')


def broken_operator(model: Any) -> Any:
    return rebuilt(model, "MaxPooling2D", "AveragePooling2D")


def permuted_labels(model: Any) -> Any:
    *others, kernel, bias = model.get_weights()
    copy = rebuilt(model)
    copy.set_weights([*others, np.roll(kernel, 1, axis=1), np.roll(bias, 1)])
    return copy


def altered_weights(model: Any) -> Any:
    first, *others = model.get_weights()
    copy = rebuilt(model)
    copy.set_weights([first[::-1, ::-1], *others])
    return copy


def rebuilt(model: Any, old: str = "", new: str = "") -> Any:
    import keras

    text = model.to_json()
    assert old in text
    copy = keras.models.model_from_json(text.replace(old, new) if old else text)
    copy.set_weights(model.get_weights())
    return copy


FAULTS = [wrong_preprocessing, permuted_labels, broken_operator, altered_weights]


@pytest.fixture
def with_champion(judged: Any, tmp_path: Path) -> Any:
    """A challenger that was accepted against the champion v1."""
    folder = tmp_path / "v1"
    folder.mkdir()
    for name in ("model.keras", "version.json"):
        (folder / name).write_text("{}")
    registry.publish(judged.registry, folder, "v1", "")
    judged.verdict(champion="v1")
    return judged


def versions(judged: Any) -> list[str]:
    return [path.name for path in (Path(judged.registry) / "versions").iterdir()]


def model_of(judged: Any) -> Any:
    return runtime.keras_model(judged.root / "trained" / "model.keras")


@pytest.mark.parametrize("fault", FAULTS[:3], ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("name", list(formats.WRITERS))
def test_a_format_of_another_model_leaves_the_champion(
    name: str, fault: Callable[[Any], Any], with_champion: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, wrong = formats.WRITERS[name], fault(model_of(with_champion))

    def write_wrong(origin: formats.Source, path: Path) -> None:
        write(formats.source(wrong, SERVING, {}, origin.calibration), path)

    monkeypatch.setitem(formats.WRITERS, name, write_wrong)
    with pytest.raises(StepError, match=rf"parity: {name}\b") as caught:
        with_champion.export(formats=(name,))
    assert caught.value.kind == "model"
    assert registry.state(with_champion.registry) == "v1"
    assert versions(with_champion) == ["v1"]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_model_other_than_the_judged_one_leaves_the_champion(fault: Callable[[Any], Any], with_champion: Any) -> None:
    fault(model_of(with_champion)).save(with_champion.root / "trained" / "model.keras")
    with pytest.raises(StepError, match="not those that evaluate recorded") as caught:
        with_champion.export(formats=("litert",))
    assert caught.value.kind == "model"
    assert registry.state(with_champion.registry) == "v1"


@pytest.mark.parametrize("name", ["litert", "onnx", "saved_model"])
@pytest.mark.parametrize(("difference", "told"), [(0.0, ""), (5e-4, ""), (2e-3, "differ by 0.002 of the largest one")])
def test_a_float_format_may_differ_by_a_thousandth_of_the_largest_output(
    name: str, difference: float, told: str
) -> None:
    inputs = np.zeros((70, 2, 2, 1), np.uint8)
    outputs = np.random.default_rng(0).uniform(-1, 1, (70, 3)).astype(np.float32)
    outputs[5, 1] = 4.0
    changed = outputs.copy()
    changed[69, 2] += difference * 4.0
    info = {"classes": ["a", "b", "c"], "image_shape": [2, 2, 1], "encoding": "raw"}
    role = Task("image_classification", info, image_classification.Settings()).evaluation
    batch = {"image": inputs, "key": np.array([str(number) for number in range(70)]), "label": np.zeros(70, np.int64)}
    sample = parity.Sample(batch, inputs, outputs, {"logits": outputs}, np.zeros(70), {})
    done = 0

    def run(given: np.ndarray) -> np.ndarray:
        nonlocal done
        done = 0 if len(given) == 1 or done == 70 else done
        rows = changed[done : done + len(given)]
        done += 0 if len(given) == 1 else len(given)
        return rows

    found = parity.compare(name, Predictor(run), sample, role, ExportSettings())
    assert told in found.problem and bool(told) == bool(found.problem)


def test_a_format_that_may_be_left_out_is_told_and_the_others_are_published(
    judged: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, wrong = formats.WRITERS["onnx"], permuted_labels(model_of(judged))

    def write_wrong(origin: formats.Source, path: Path) -> None:
        write(formats.source(wrong, SERVING, {}, origin.calibration), path)

    monkeypatch.setitem(formats.WRITERS, "onnx", write_wrong)
    outputs = judged.export(formats=("litert", "onnx"), strict=False)
    folder = Path(outputs["exported"].path)
    version = json.loads((folder / "version.json").read_text())
    assert list(version["formats"]) == ["litert"] and list(version["left_out"]) == ["onnx"]
    assert not (folder / "model.onnx").exists()
    assert "Left out: onnx (onnx's outputs differ by" in Path(outputs["card"].path).read_text()
    with pytest.raises(StepError, match="parity: onnx's outputs differ"):
        judged.export(formats=("onnx",), strict=False)
