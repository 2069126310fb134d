"""Every format, loaded by its own runtime, answers like Keras, whatever the model was trained with."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.core import inference
from components.core.errors import StepError
from components.export import formats, parity, runtime
from components.export.settings import ExportSettings
from components.models import cnn
from components.tasks import image_classification
from components.tasks.contract import Task

SERVING = Task("image_classification", {}).serving

IMAGES = np.random.default_rng(0).integers(0, 256, (70, 8, 8, 1), dtype=np.uint8)
EXACT = ("saved_model", "litert", "onnx")


def network_of(settings: cnn.Settings, precision: str = "float32") -> Any:
    from components.core import devices

    with devices.configured(backend="tensorflow", precision=precision, seed=1):
        return cnn.build(settings, (8, 8, 1), 10)


def with_dropout() -> Any:
    return network_of(cnn.Settings(filters=(8,), dropout=0.5))


def with_normalization() -> Any:
    """A residual block, whose normalization is not the identity as it is in a new model."""
    import keras

    inputs = keras.Input((8, 8, 1), dtype="uint8", name="image")
    x = keras.layers.Conv2D(4, 3, padding="same")(keras.layers.Rescaling(1 / 255)(inputs))
    y = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.Add()([x, keras.layers.Conv2D(4, 3, padding="same")(y)])
    model = keras.Model(inputs, keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(x)))
    random = np.random.default_rng(1)
    for variable in model.variables:
        if "normalization" in variable.path:
            variable.assign(random.uniform(0.5, 1.5, variable.shape))
    return model


@pytest.mark.parametrize("model", [with_dropout, with_normalization], ids=lambda model: model.__name__)
def test_exact_formats_give_the_outputs_of_keras_at_every_batch_size(model: Any, tmp_path: Path) -> None:
    network = model()
    expected = network.predict_on_batch(IMAGES)
    formats.write(formats.source(network, SERVING, {}, IMAGES), tmp_path, EXACT)
    for name in EXACT:
        predictor = runtime.load(tmp_path, name)
        for size in (1, 3, 64, 2):
            assert parity.differences(expected[:size], predictor.run(IMAGES[:size]))[0] < 1e-5, (name, size)
        assert predictor.run_all(IMAGES).shape == (70, 10)


def test_quantized_formats_are_smaller_and_int8_computes_in_int8(tmp_path: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    network = network_of(cnn.Settings(filters=(32, 64), padding="same"))
    names = ("litert", "litert_dynamic", "litert_int8")
    formats.write(formats.source(network, SERVING, {}, IMAGES), tmp_path, names)
    whole, dynamic, integer = (runtime.size(tmp_path / runtime.PATHS[name]) for name in names)
    assert max(dynamic, integer) < 0.4 * whole
    kinds = {}
    for name in ("litert_dynamic", "litert_int8"):
        interpreter = Interpreter(model_path=str(tmp_path / runtime.PATHS[name]))
        kinds[name] = [part["dtype"] for part in interpreter.get_tensor_details() if len(part["shape"]) == 4]
    # Activations: pictures come as uint8, and only their cast and the dequantized outputs are floats.
    assert kinds["litert_int8"].count(np.float32) == 1 < kinds["litert_dynamic"].count(np.float32)


def test_the_saved_model_serves_outputs_and_probabilities_by_name(tmp_path: Path) -> None:
    import tensorflow as tf

    network = network_of(cnn.Settings(filters=(8,)))
    formats.write(formats.source(network, SERVING, {}, IMAGES), tmp_path, ["saved_model"])
    served = tf.saved_model.load(str(tmp_path / "saved_model")).signatures["serving_default"](image=tf.constant(IMAGES))
    assert set(served) == {"outputs", "probabilities"}
    np.testing.assert_allclose(served["outputs"], network.predict_on_batch(IMAGES), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(served["probabilities"], tf.nn.softmax(served["outputs"]), rtol=1e-5)


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_a_model_of_mixed_precision_is_exported_in_float32(precision: str, tmp_path: Path) -> None:
    mixed = network_of(cnn.Settings(filters=(8, 16), padding="same"), precision)
    assert {layer.compute_dtype for layer in mixed.layers if layer.weights} == {precision[6:], "float32"}
    mixed.save(tmp_path / "model.keras")
    network = runtime.keras_model(tmp_path / "model.keras")
    assert {layer.compute_dtype for layer in network.layers if layer.weights} == {"float32"}
    for before, after in zip(mixed.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    expected = inference.traced(network)(IMAGES)
    assert 0 < parity.differences(expected, mixed.predict_on_batch(IMAGES))[1] < parity.MIXED_TYPICAL
    formats.write(formats.source(network, SERVING, {}, IMAGES), tmp_path, EXACT)
    for name in EXACT:
        assert parity.differences(expected, runtime.load(tmp_path, name).run(IMAGES))[0] < 1e-5, name


def test_a_model_saved_under_jax_is_exported_under_tensorflow(tmp_path: Path) -> None:
    script = """
import sys
import numpy as np
from components.models import cnn
model = cnn.build(cnn.Settings(filters=(8,)), (8, 8, 1), 10)
model.save(sys.argv[1] + "/model.keras")
images = np.random.default_rng(0).integers(0, 256, (70, 8, 8, 1), dtype=np.uint8)
np.save(sys.argv[1] + "/outputs.npy", model.predict_on_batch(images))
"""
    environment = os.environ | {"KERAS_BACKEND": "jax"}
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], env=environment, check=True, capture_output=True)
    network, expected = runtime.keras_model(tmp_path / "model.keras"), np.load(tmp_path / "outputs.npy")
    formats.write(formats.source(network, SERVING, {}, IMAGES), tmp_path, EXACT)
    for name in (*EXACT, "keras"):
        assert parity.differences(expected, runtime.load(tmp_path, name).run(IMAGES))[0] < 1e-5, name


def test_litert_and_onnx_run_without_tensorflow(tmp_path: Path) -> None:
    network = network_of(cnn.Settings(filters=(8,)))
    formats.write(formats.source(network, SERVING, {}, IMAGES), tmp_path, ["litert", "onnx"])
    script = """
import json, sys
from pathlib import Path
import numpy as np
from components.export import runtime
images = np.zeros((2, 8, 8, 1), np.uint8)
shapes = [runtime.load(Path(sys.argv[1]), name).run(images).shape for name in ("litert", "onnx")]
print(json.dumps([shapes, [name for name in ("tensorflow", "keras", "kfp") if name in sys.modules]]))
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) == [[[2, 10], [2, 10]], []]
    assert done.stderr == ""


@pytest.mark.parametrize("name", list(runtime.PATHS))
@pytest.mark.parametrize("damage", ["missing", "cut short"])
def test_a_damaged_format_is_named_in_one_line(name: str, damage: str, tmp_path: Path) -> None:
    place = tmp_path / runtime.PATHS[name]
    if damage == "cut short":
        file = place / "saved_model.pb" if name == "saved_model" else place
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"TFL3 half a file")
    with pytest.raises(StepError, match=runtime.PATHS[name]) as caught:
        runtime.load(tmp_path, name)
    assert "\n" not in str(caught.value)


def test_a_model_that_a_format_cannot_express_is_named(tmp_path: Path) -> None:
    import keras

    inputs = keras.Input((8, 8, 1), dtype="uint8", name="image")
    x = keras.ops.fft2((keras.ops.cast(inputs[..., 0], "float32"), keras.ops.cast(inputs[..., 0], "float32")))[0]
    network = keras.Model(inputs, keras.layers.Dense(10)(keras.layers.Flatten()(x)))
    origin = formats.source(network, SERVING, {}, IMAGES)
    failed = formats.write(origin, tmp_path, ["litert", "saved_model"])
    assert list(failed) == ["litert"] and "\n" not in failed["litert"]
    assert [path.name for path in tmp_path.iterdir()] == ["saved_model"]


OUTPUTS = np.eye(10)[np.arange(70) % 10]


def right(inputs: np.ndarray) -> np.ndarray:
    """The outputs of the pictures from where the inputs begin."""
    start = next(number for number, image in enumerate(IMAGES) if (image == inputs[0]).all())
    return OUTPUTS[start : start + len(inputs)]


def no_operator(inputs: np.ndarray) -> np.ndarray:
    raise RuntimeError("Node number 3 (FlexFFT) failed to prepare.\nmore lines")


@pytest.mark.parametrize("name", ["onnx", "litert_int8"])
@pytest.mark.parametrize(
    ("run", "problem"),
    [
        (no_operator, r"does not run: Node number 3 \(FlexFFT\) failed to prepare\.$"),
        (lambda inputs: np.zeros((len(inputs), 9)), r"gives outputs of shape \[70, 9\], the model \[70, 10\]"),
        (lambda inputs: np.full((len(inputs), 10), np.nan), "nan"),
        (lambda inputs: right(inputs) * (1 if len(inputs) > 1 else 3), "differ by 2"),
    ],
    ids=["an operator that is not there", "another shape", "not a number", "alone another output than in a batch"],
)
def test_a_format_that_fails_or_strays_has_a_problem(name: str, run: Any, problem: str) -> None:
    batch = {"image": IMAGES, "key": np.arange(70), "label": np.arange(70) % 10}
    role = Task("image_classification", {}, image_classification.Settings()).evaluation
    found = parity.Sample(batch, IMAGES, OUTPUTS, {"logits": OUTPUTS}, np.ones(70), {})
    settings = ExportSettings()
    assert not parity.compare(name, inference.Predictor(right), found, role, settings).problem
    bad = parity.compare(name, inference.Predictor(run), found, role, settings)
    assert re.search(problem, bad.problem)


def compared(name: str, outputs: np.ndarray, of: np.ndarray) -> parity.Parity:
    """A format with these outputs for the pictures, and a model with those, by the default settings."""
    role = Task("image_classification", {}, image_classification.Settings()).evaluation
    truth = np.arange(70) % 10
    paired = (of.argmax(1) == truth).astype(np.float64)
    sample = parity.Sample(
        {"image": IMAGES, "key": np.arange(70), "label": truth}, IMAGES, of, {"logits": of}, paired, {}
    )
    answers = {image.tobytes(): row for image, row in zip(IMAGES, outputs, strict=True)}
    predictor = inference.Predictor(lambda inputs: np.stack([answers[image.tobytes()] for image in inputs]))
    return parity.compare(name, predictor, sample, role, ExportSettings())


@pytest.mark.parametrize(("by", "accepted"), [(0.9e-3, True), (1.1e-3, False)])
def test_an_exact_format_s_outputs_may_differ_by_a_thousandth_of_the_largest(by: float, accepted: bool) -> None:
    one_wrong = 5 * OUTPUTS
    one_wrong[69, 3] += 5 * by
    found = compared("onnx", one_wrong, 5 * OUTPUTS)
    assert found.difference == pytest.approx(by) and (found.problem == "") == accepted


@pytest.mark.parametrize(
    ("wrong", "wrong_before", "accepted"), [(0, 0, True), (1, 0, True), (2, 0, False), (0, 9, True), (9, 9, True)]
)
def test_a_quantized_format_may_lose_a_fiftieth_of_the_accuracy_and_gain_any(
    wrong: int, wrong_before: int, accepted: bool
) -> None:
    def outputs(errors: int) -> np.ndarray:
        moved = np.roll(OUTPUTS, 1, axis=1)
        # The right class stays close behind, so that the outputs are not another model's.
        return np.where(np.arange(70)[:, None] < errors, 0.9 * OUTPUTS + moved, OUTPUTS + 0.9 * moved)

    found = compared("litert_int8", outputs(wrong), outputs(wrong_before))
    assert found.metric_change == pytest.approx((wrong_before - wrong) / 70) and (found.problem == "") == accepted


@pytest.mark.parametrize(
    ("offered", "wanted", "expected"),
    [
        (["keras", "onnx", "litert", "saved_model"], "", "litert"),
        (["litert_int8", "saved_model"], "", "saved_model"),
        (["litert_int8"], "", "litert_int8"),
        (["litert", "onnx"], "onnx", "onnx"),
        (["litert", "onnx"], "keras", "no format 'keras'; it has litert, onnx"),
    ],
)
def test_the_quickest_exact_format_is_chosen(offered: list[str], wanted: str, expected: str) -> None:
    try:
        assert runtime.choose_format(offered, wanted) == expected
    except StepError as error:
        assert expected in str(error)


def test_a_format_without_its_runtime_is_passed_over_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "PACKAGES", runtime.PACKAGES | {"litert": "not_installed_here"})
    assert runtime.choose_format(["litert", "onnx"]) == "onnx"
    with pytest.raises(StepError, match="nothing that runs litert is installed; not_installed_here is needed"):
        runtime.choose_format(["litert", "onnx"], "litert")
