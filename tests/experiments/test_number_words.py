"""The experiment with numbers and their words, small: through every step and format, and used for prediction."""

from pathlib import Path

import pytest
from places import Place

from components.evaluate.logic import evaluate
from components.export import version
from components.export.logic import export
from components.prepare.logic import prepare
from components.train.logic import train
from pipelines import experiment

SMALLER = (
    *("data.pairs=300", "data.largest=999", "model.width=32", "model.layers=1", "model.hidden=64"),
    *("model.source_length=4", "model.target_length=40", "training.epochs=2", "training.batch_size=16"),
    *("training.warmup_steps=4", "training.precision=float32", "evaluation.require=[]", "evaluation.resamples=100"),
    *("evaluation.beam=2", "export.parity_examples=8", "export.timing_seconds=0.01"),
)


@pytest.mark.slow
def test_numbers_go_through_every_step_and_format(tmp_path: Path) -> None:
    from kfp.dsl import ClassificationMetrics

    sections = experiment.load("number_words").with_settings(SMALLER).experiment.sections()
    names = (
        "examples",
        "data_report",
        "trained",
        "metrics",
        "curves",
        "logs",
        "scores",
        "report",
        "reasons",
        "verdict",
    )
    place = {name: Place(str(tmp_path / name)) for name in (*names, "exported", "card", "card_page", "benchmark")}
    registry = str(tmp_path / "registry")

    prepare(sections["data"], str(tmp_path / "store"), "", place["examples"], place["data_report"])
    outputs = {name: place[name] for name in ("trained", "metrics", "curves", "logs")}
    train(place["examples"], sections["model"], sections["training"], str(tmp_path / "saved"), "", "0", **outputs)
    # Numbers that are in no split are shown after each epoch.
    assert Path(place["curves"].path).read_text().count("(reference: ") >= 2

    classes = ClassificationMetrics(uri=str(tmp_path / "classes.json"))
    judge = (place["scores"], classes, place["report"], place["reasons"], place["verdict"])
    assert evaluate(place["examples"], place["trained"], sections["evaluation"], registry, *judge)
    assert "Worst translations" in Path(place["report"].path).read_text()

    inputs = {name: place[name] for name in ("examples", "trained", "verdict")}
    outputs = {name: place[name] for name in ("exported", "card", "card_page", "benchmark")}
    export(export=sections["export"], registry=registry, **inputs, **outputs)
    card = Path(place["card"].path).read_text()
    assert "a beam of 2" in card
    (tmp_path / "in.txt").write_text("12\n\n345\n123456\n")
    said = {}
    for format in ("keras", *sections["export"]["formats"]):
        predictor = version.load(Path(place["exported"].path), format)
        said[format] = [one.values for one in predictor.predict(predictor.read(str(tmp_path / "in.txt")))]
        assert [one["whole"] for one in said[format]] == [True, True, True, False]
        assert said[format][1]["translation"] == ""
    assert said["keras"] == said["saved_model"] == said["litert"] == said["onnx"]
