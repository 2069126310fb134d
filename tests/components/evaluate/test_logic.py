"""The whole step on scikit-learn's digits, with KFP's own artifacts."""

import html
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kfp import dsl
from PIL import Image
from sklearn.datasets import load_digits

from components import registry, storage
from components.core import devices
from components.core.errors import StepError
from components.core.examples import PreparedData
from components.evaluate.logic import evaluate
from components.tasks import image_classification as task
from components.tasks.contract import Task

task_for = partial(Task, "image_classification")

TEST = 300
NAMES = [f"digit {label}" for label in range(10)]


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Pictures uint8 [1797, 8, 8, 1] and labels."""
    pixels, labels = load_digits(return_X_y=True)
    return np.round(pixels * 255 / 16).astype(np.uint8).reshape(-1, 8, 8, 1), labels


def write_examples(folder: Path, only: int | None = None, **info: Any) -> None:
    """The test split, or its examples of one class."""
    import tensorflow as tf

    images, labels = digits()
    numbers = [number for number in range(TEST) if only in (None, labels[number])]
    (folder / "data").mkdir(parents=True)
    with tf.io.TFRecordWriter(str(folder / "data/digits-test.tfrecord-00000-of-00001")) as records:
        for number in numbers:
            example = tf.train.Example()
            feature = example.features.feature
            feature["image"].bytes_list.value.append(images[number].tobytes())
            feature["key"].bytes_list.value.append(f"digit {number}".encode())
            feature["label"].int64_list.value.append(int(labels[number]))
            feature["brightness"].float_list.value.append(float(images[number].mean()) / 255)
            records.write(example.SerializeToString())
    (folder / "data" / storage.MANIFEST).write_text(storage.Manifest.from_folder(folder / "data").text())
    known = {"classes": NAMES, "image_shape": [8, 8, 1], "encoding": "raw"} | info
    PreparedData(str(folder / "data"), "d1", "image_classification", "digits", {"test": len(numbers)}, known).write(
        folder / "examples"
    )


def write_model(folder: Path, epochs: int, units: int = 10, side: int = 8, forget: int | None = None) -> None:
    """A small dense network trained on what is not the test split, without the class ``forget``."""
    import keras

    images, labels = digits()
    kept = np.arange(len(labels)) >= TEST
    kept &= labels != forget
    with devices.configured(backend="tensorflow", precision="float32", seed=1):
        inputs = keras.Input((side, side, 1), dtype="uint8")
        x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
        x = keras.layers.Dense(units)(keras.layers.Dense(32, activation="relu")(x))
        model = keras.Model(inputs, x)
        model.compile(keras.optimizers.Adam(0.01), **task_for({}).training.compile_arguments(model))
        if epochs:
            model.fit(images[kept], labels[kept], epochs=epochs, batch_size=128, verbose=0)
        folder.mkdir(parents=True)
        model.save(folder / "model.keras")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PreparedData and models: good, worse (untrained), forgetful (never saw a 3)."""
    folder = tmp_path_factory.mktemp("evaluate")
    write_examples(folder)
    write_model(folder / "good", 12)
    write_model(folder / "untrained", 0)
    write_model(folder / "forgetful", 12, forget=3)
    write_model(folder / "nine", 0, units=9)
    write_model(folder / "large", 0, side=9)
    return folder


@dataclass(frozen=True)
class Outcome:
    """What the step returned and left."""

    accepted: bool
    out: Path
    metrics: dsl.Metrics
    classes: dsl.ClassificationMetrics

    @property
    def verdict(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.out / "verdict/verdict.json").read_text())
        return found

    @property
    def reasons(self) -> str:
        return (self.out / "reasons").read_text()


Judge = Callable[..., Outcome]


@pytest.fixture
def judge(made: Path, tmp_path: Path) -> Judge:
    """Run the step on one of the models."""

    def run(which: str, out: str = "out", examples: Path | None = None, **settings: Any) -> Outcome:
        chosen = {"margin": 0.02, "min_slice": 20, "slice_margin": 0.2, "resamples": 200, "batch_size": 128} | settings
        place = tmp_path / out
        metrics, classes = (
            dsl.Metrics(uri=str(place / "metrics")),
            dsl.ClassificationMetrics(uri=str(place / "classes")),
        )
        accepted = evaluate(
            examples=dsl.Dataset(uri=str(examples or made / "examples")),
            trained=dsl.Model(uri=str(tmp_path / which if (tmp_path / which).exists() else made / which)),
            evaluation=json.loads(json.dumps(task.Settings(**chosen).parameters())),
            registry=str(tmp_path / "registry"),
            metrics=metrics,
            classes=classes,
            report=dsl.HTML(uri=str(place / "report")),
            reasons=dsl.Markdown(uri=str(place / "reasons")),
            verdict=dsl.Artifact(uri=str(place / "verdict")),
        )
        return Outcome(accepted, place, metrics, classes)

    return run


@pytest.fixture
def crown(made: Path, tmp_path: Path) -> Callable[..., str]:
    """Make one of the models the champion."""

    def publish(which: str, **version: Any) -> str:
        folder = tmp_path / f"version-{which}"
        shutil.copytree(made / which, folder)
        (folder / "version.json").write_text(json.dumps(version))
        registry.publish(str(tmp_path / "registry"), folder, "v1", "")
        return "v1"

    return publish


def test_a_good_first_model_is_accepted_and_everything_is_written(judge: Judge) -> None:
    found = judge("good", require=["accuracy>=0.8"], require_slices=["accuracy>=0.2"])
    assert found.accepted
    verdict = found.verdict
    assert verdict["accepted"] is True
    assert verdict["champion"] is None
    assert (verdict["data"], verdict["task"], verdict["examples"]) == ("d1", "image_classification", TEST)
    assert verdict["settings"]["top_k"] == 5
    assert verdict["worst_slice"] in {one["name"] for one in verdict["slices"]}
    assert found.reasons.startswith("# Accepted")
    assert all(reason in found.reasons for reason in verdict["reasons"])
    stored = np.load(found.out / "verdict/predictions.npz")
    assert stored["logits"].dtype == np.float32 and stored["logits"].shape == (TEST, 10)
    assert stored["key"][7] == "digit 7"
    assert verdict["metrics"]["accuracy"] == pytest.approx(
        (stored["logits"].argmax(1) == stored["true_label"]).mean(), abs=1e-6
    )
    page = (found.out / "report").read_text()
    assert verdict["worst_slice"] in page.replace("\N{NO-BREAK SPACE}", " ")
    assert "<svg" in page and "data:image/png" in page
    assert re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', page) == [], "everything is in the page itself"


def test_a_model_is_not_accepted_on_one_class_without_a_word(judge: Judge, tmp_path: Path) -> None:
    write_examples(tmp_path / "one", only=3)
    found = judge("good", examples=tmp_path / "one/examples")
    assert found.accepted
    first = found.verdict["reasons"][0]
    assert first.startswith("Every test example is of the class 'digit 3'")
    assert first in found.reasons.replace("\\", "") and first in html.unescape((found.out / "report").read_text())
    assert not any("Every test" in reason for reason in judge("good", "all").verdict["reasons"])


def test_kubeflow_gets_flat_finite_metrics_a_confusion_matrix_and_a_roc_curve(judge: Judge) -> None:
    found = judge("good")
    values = json.loads(json.dumps(found.metrics.metadata, allow_nan=False))
    assert values["accuracy_low"] < values["accuracy"] < values["accuracy_high"]
    assert {"loss", "top_k", "macro_f1", "roc_auc", "calibration_error", "latency_ms_batch_1"} <= set(values)
    shown = json.loads(json.dumps(found.classes.metadata, allow_nan=False))
    assert [spec["displayName"] for spec in shown["confusionMatrix"]["annotationSpecs"]] == NAMES
    assert sum(sum(row["row"]) for row in shown["confusionMatrix"]["rows"]) == TEST
    assert all(0 <= point["confidenceThreshold"] <= 1 for point in shown["confidenceMetrics"])


def test_the_same_model_twice_gives_the_same_verdict_to_the_byte(judge: Judge) -> None:
    first, second = judge("good", "first"), judge("good", "second")
    for name in ("verdict.json", "predictions.npz", "predictions.jsonl"):
        assert (first.out / "verdict" / name).read_bytes() == (second.out / "verdict" / name).read_bytes(), name


def test_prediction_from_files_gives_the_labels_that_were_recorded(judge: Judge, made: Path, tmp_path: Path) -> None:
    from components.core.inference import Predictor, traced
    from components.layers.saved_model import load

    found = judge("good", abstain_below=0.6)
    recorded = [json.loads(line) for line in (found.out / "verdict/predictions.jsonl").read_text().splitlines()]
    images, _ = digits()
    (tmp_path / "pictures").mkdir()
    for number in range(10):
        Image.fromarray(images[number, ..., 0]).save(tmp_path / f"pictures/{number}.png")
    info = PreparedData.read(made / "examples").info
    batch = {
        "image": np.stack([pixels for _, pixels in task_for(info).serving.read_inputs(str(tmp_path / "pictures"))])
    }
    settings = task.Settings(abstain_below=0.6)
    answers = task_for(info, settings).evaluation.predict(Predictor(traced(load(made / "good/model.keras"))), batch, {})
    again = task_for(info, settings).evaluation.predictions(answers)
    assert [one["label"] for one in again] == [one["label"] for one in recorded[:10]]
    assert [one["key"] for one in recorded[:2]] == ["digit 0", "digit 1"]


def test_a_model_below_its_threshold_is_refused(judge: Judge) -> None:
    found = judge("untrained", require=["accuracy>=0.8"])
    assert not found.accepted
    assert found.verdict["accepted"] is False
    assert found.reasons.startswith("# Refused")
    assert ">= 0.8 is required" in found.reasons
    assert "Refused" in (found.out / "report").read_text()


def test_the_champions_own_weights_are_nothing_new_and_the_champion_stays(
    judge: Judge, crown: Callable[..., str]
) -> None:
    crown("good")
    found = judge("good", margin=0.0001)
    assert not found.accepted, "nothing to export"
    assert (found.verdict["champion"], found.verdict["outcome"]) == ("v1", "unchanged")
    assert found.reasons.startswith("# Nothing new: the champion stays")
    assert "same weights as the champion v1" in found.reasons
    assert "Refused" not in (found.out / "report").read_text()
    again = judge("good", "again", margin=0.0001, equal_weights="publish")
    assert again.accepted


def test_a_challenger_as_good_as_a_champion_that_has_crept_down_is_held_against_the_best_version(
    judge: Judge, crown: Callable[..., str], made: Path, tmp_path: Path
) -> None:
    crown("good")
    folder = tmp_path / "version-forgetful"
    shutil.copytree(made / "forgetful", folder)
    (folder / "version.json").write_text("{}")
    registry.publish(str(tmp_path / "registry"), folder, "v2", "v1", -0.1)
    write_model(tmp_path / "close", 14, forget=3)
    settings = {"margin": 0.05, "slice_margin": 0.9}
    found = judge("close", "anchored", **settings)
    refused = [line for line in found.reasons.splitlines() if line.startswith("- ✗")]
    assert not found.accepted and len(refused) == 1
    assert refused[0].startswith("- ✗ Against the anchor v1")
    assert found.verdict["anchor"]["version"] == "v1"
    for anchor in ("v2", "none"):
        assert judge("close", anchor, anchor=anchor, **settings).accepted, "not worse than the champion"
    with pytest.raises(StepError, match="v9 was never the champion"):
        judge("close", "unknown", anchor="v9", **settings)


def test_a_first_model_that_has_learnt_nothing_is_warned_of(judge: Judge) -> None:
    assert "not shown to be better than always answering 'digit" in judge("untrained").reasons
    assert "always answering" not in judge("good", "good").reasons


def test_the_models_that_the_same_test_examples_have_judged_are_counted(judge: Judge, made: Path) -> None:
    assert "different models" not in judge("good", "first").reasons
    assert "have judged 2 different models" in judge("untrained", "second").reasons
    assert "have judged 2 different models" in judge("good", "first again").reasons


def test_a_paired_metric_beyond_its_range_is_told(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task.Settings, "paired_range", (0.0, 0.5))
    with pytest.raises(StepError, match="accuracy of single examples goes from 0 to 1, outside its range") as caught:
        judge("good")
    assert "paired_range" in caught.value.advice


def test_a_worse_challenger_is_refused_and_a_better_one_accepted(
    judge: Judge, crown: Callable[..., str], tmp_path: Path
) -> None:
    crown("good")
    worse = judge("untrained", "worse")
    assert not worse.accepted
    assert worse.verdict["comparison"]["high"] < -0.02
    assert "worse beyond the margin" in worse.reasons
    shutil.rmtree(tmp_path / "registry")
    crown("untrained")
    better = judge("good", "better", margin=0.0)
    assert better.accepted
    assert "champion v1" in (better.out / "report").read_text()


def test_a_challenger_that_forgot_one_class_is_refused_for_that_slice(judge: Judge, crown: Callable[..., str]) -> None:
    crown("good")
    found = judge("forgetful", margin=0.3)
    assert not found.accepted
    refused = [line for line in found.reasons.splitlines() if line.startswith("- ✗")]
    assert len(refused) == 1
    assert "Slice 'class digit 3'" in refused[0]


def test_a_second_look_after_the_champion_changed_decides_anew(
    judge: Judge, crown: Callable[..., str], tmp_path: Path
) -> None:
    assert judge("untrained", "before").accepted
    crown("good")
    assert not judge("untrained", "after").accepted


@pytest.mark.parametrize(
    ("champion", "version", "said"),
    [
        ("nine", {}, "has 9 outputs, the data need 10"),
        ("large", {}, "takes inputs of 9 x 9 x 1, the data have 8 x 8 x 1"),
        ("good", {"info": {"classes": NAMES[::-1]}}, "another order of them"),
    ],
)
def test_a_champion_that_answers_another_question_is_neither_rival_nor_replaced(
    judge: Judge, crown: Callable[..., str], champion: str, version: dict[str, Any], said: str
) -> None:
    crown(champion, **version)
    with pytest.raises(StepError) as caught:
        judge("good")
    assert said in caught.value.message
    assert "new model name" in caught.value.advice
    assert caught.value.kind == "conflict"


def test_a_champion_from_other_data_is_compared_and_that_is_said(judge: Judge, crown: Callable[..., str]) -> None:
    crown("good", fingerprints={"data": "older"}, info={"classes": NAMES})
    assert "comes from other data" in judge("good").reasons


def broken(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:500])


def infinite(path: Path) -> None:
    import keras

    model = keras.models.load_model(path)
    model.set_weights([np.full_like(weight, np.nan) for weight in model.get_weights()])
    model.save(path)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [(broken, "cannot be loaded"), (Path.unlink, "cannot be loaded"), (infinite, "outputs are not finite")],
)
def test_a_spoilt_model_is_told_in_one_line_and_leaves_no_verdict(
    judge: Judge, made: Path, tmp_path: Path, spoil: Callable[[Path], None], said: str
) -> None:
    shutil.copytree(made / "good", tmp_path / "spoilt")
    spoil(tmp_path / "spoilt/model.keras")
    with pytest.raises(StepError) as caught:
        judge("spoilt")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out/verdict").exists()


@pytest.mark.parametrize(("which", "said"), [("nine", "has 9 outputs"), ("large", "takes inputs of 9 x 9 x 1")])
def test_a_model_that_does_not_fit_the_data_is_told(judge: Judge, which: str, said: str) -> None:
    with pytest.raises(StepError, match=said):
        judge(which)


def test_data_without_a_test_split_are_told(judge: Judge, made: Path, tmp_path: Path) -> None:
    data = PreparedData.read(made / "examples")
    PreparedData(data.directory, "d", data.task, data.source, {"train": 5}, data.info).write(tmp_path / "examples")
    with pytest.raises(StepError, match="no test split"):
        judge("good", examples=tmp_path / "examples")
