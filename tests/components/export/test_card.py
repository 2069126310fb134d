"""The model card: the same content as Markdown and as a page."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from PIL import Image

from components.core.examples import PreparedData
from components.export import card, usage
from components.export.accepted import Verdict
from components.tasks import image_classification
from components.tasks.contract import Task

METRICS = {"accuracy": 0.91, "accuracy_low": 0.9, "accuracy_high": 0.92, "loss": 0.3, "macro_f1": 0.9}


def content(**changes: Any) -> card.Card:
    slices = [
        {"name": "class a|b", "examples": 500, "counts": True, "metrics": {"accuracy": 0.95, "loss": 0.2}},
        {"name": "class <b>", "examples": 12, "counts": False, "metrics": {"accuracy": 0.5, "loss": 0.9}},
    ]
    values: dict[str, Any] = {
        "champion": "v1",
        "difference": 0.01,
        "reasons": ["accuracy is 0.91, required >= 0.9."],
        "metrics": METRICS,
        "metric": "accuracy",
        "baseline": {"baseline_accuracy": 0.87},
        "slices": slices,
        "worst_slice": "class <b>",
        "settings": {"min_slice": 100, "abstain_below": 0.4},
        "data": "d",
        "examples": 512,
    }
    found = {"bytes": 411_000, "difference": 3e-7, "metric_change": -0.002}
    times = {f"p{percent}_us_batch{size}": 28.5 for percent in (50, 99) for size in (1, 64)}
    info = {"classes": ["a|b", "<b>"], "image_shape": [28, 28, 1]}
    return card.card(
        name="clothes",
        version="0123456789ab",
        task=Task("image_classification", info, image_classification.Settings(abstain_below=0.4)),
        data=PreparedData("/data", "d", "image_classification", "a source", {"train": 4000, "test": 512}, info),
        training={"name": "cnn", "parameters": 101_578, "epochs": 10, "versions": {"keras": "3.15.1"}},
        verdict=Verdict(**(values | changes)),
        formats={"litert": found | times, "litert_int8": found | times},
        left_out={"onnx": "cannot be written: it has no such layer"},
        fingerprints={"data": "d", "model.keras": "f00d"},
    )


def test_the_card_says_what_the_model_is_and_where_it_is_weak() -> None:
    text = card.markdown(content())
    for line in (
        "# Model card: clothes",
        "version 0123456789ab",
        "- 95% interval: 0.9000 to 0.9200",
        "- parameters: 101,578",
        "- input: 28 x 28 x 1",
        r"It is at its weakest on class \<b>: accuracy 0.5000 on 12 examples.",
        r"Slices of fewer than 100 examples did not count for the decision: class \<b>.",
        "It gives no label if the best probability is below 0.4.",
        "accuracy is 0.91, required >= 0.9.",
        "- compared with: v1",
        "- accuracy of the baseline: 0.8700",
        "Left out: onnx (cannot be written: it has no such layer).",
        r"| class a\|b | 500 | 0.95 | 0.2 |  |",
        r"| litert\_int8 | 0.411 MB | 3.0e-07 | -0.0020 | 28.5 | 28.5 | 28.5 | 28.5 |",
        "| model.keras | f00d |",
    ):
        assert line in text.splitlines(), line


def test_a_table_s_rows_have_as_many_cells_as_its_head() -> None:
    text = card.markdown(content()).replace(r"\|", "")
    widths = [[line.count("|") for line in block.splitlines()] for block in text.split("\n\n") if block[0] == "|"]
    assert len(widths) == 4 and all(len(set(counts)) == 1 and len(counts) > 2 for counts in widths)


def test_names_from_outside_stay_text_on_the_page() -> None:
    page = card.html(content())
    assert "class &lt;b&gt;" in page and "<b>" not in page
    for title in (
        "Model",
        "Limits",
        "Metrics",
        "Slices",
        "Decision",
        "Data",
        "Training",
        "Formats",
        "Use",
        "Fingerprints",
    ):
        assert f"<h2>{title}</h2>" in page


def test_the_code_to_copy_runs_and_predicts_as_the_format_does(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (40, 30, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    weights = random.normal(size=(28 * 28, 2)).astype(np.float32)
    nodes = [
        onnx.helper.make_node("Cast", ["image"], ["cast"], to=onnx.TensorProto.FLOAT),
        onnx.helper.make_node("Flatten", ["cast"], ["flat"]),
        onnx.helper.make_node("MatMul", ["flat", "weights"], ["outputs"]),
    ]
    inputs = [onnx.helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, [None, 28, 28, 1])]
    outputs = [onnx.helper.make_tensor_value_info("outputs", onnx.TensorProto.FLOAT, [None, 2])]
    graph = onnx.helper.make_graph(nodes, "g", inputs, outputs, [onnx.numpy_helper.from_array(weights, "weights")])
    opset = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=9), str(tmp_path / "model.onnx"))
    report = Task("image_classification", {"classes": ["a", "b"], "image_shape": [28, 28, 1]}, None).report
    code = usage.code("clothes", ["onnx"], report.preprocessing())
    assert list(code) == ["On the command line", "Keras", "ONNX Runtime"]
    assert {
        runtime: len(lines.splitlines()) for runtime, lines in code.items() if runtime != "On the command line"
    } == {
        "Keras": 4,
        "ONNX Runtime": 4,
    }
    done = subprocess.run(
        [sys.executable, "-c", code["ONNX Runtime"]], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    grey = np.asarray(Image.fromarray(pixels).convert("L").resize((28, 28), Image.Resampling.BILINEAR))
    expected = grey.reshape(1, -1).astype(np.float32) @ weights
    found = [float(part) for part in done.stdout.replace("[", "").replace("]", "").split()]
    assert np.allclose(found, expected[0], rtol=1e-4)


def test_a_network_that_takes_no_pictures_is_left_to_the_command() -> None:
    assert list(usage.code("reviews", ["onnx", "litert"], "")) == ["On the command line"]


def test_what_was_not_found_is_left_out() -> None:
    text = card.markdown(content(champion="", slices=[], worst_slice="", settings={}, metrics={"accuracy": 0.91}))
    assert "- compared with: no champion yet" in text
    for absent in ("weakest", "fewer than", "No label is given"):
        assert absent not in text
