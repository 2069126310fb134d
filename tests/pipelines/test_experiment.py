import importlib
import itertools
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from refusals import one_line

from components.core.errors import StepError
from components.models import resnet
from pipelines import experiment

FASHION = experiment.load("fashion_mnist").experiment


def test_the_default_experiment_trains_as_the_tutorial_does() -> None:
    sections = FASHION.sections()
    assert sections["model"]["filters"] == [32, 64, 128] and sections["model"]["dense"] == 64
    wanted = {"epochs": 10, "batch_size": 64, "learning_rate": 1e-3, "optimizer": "adam", "patience": 2}
    assert wanted.items() <= sections["training"].items()
    assert sections["training"]["steps_per_epoch"] == 1000 and sections["training"]["validation_steps"] == 500


def test_settings_are_laid_over_an_experiment() -> None:
    changed = FASHION.with_settings(
        ["training.epochs=3", "data.split=[0.7,0.3,0]", 'evaluation.require=["accuracy>=0.9"]', "model.padding=valid"]
    )
    assert changed.training.epochs == 3
    assert changed.data.split == (0.7, 0.3, 0)
    assert str(changed.evaluation.require[0]) == "accuracy >= 0.9"
    assert changed.sections()["model"]["padding"] == "valid"
    assert FASHION.training.epochs == 10


def test_another_model_starts_from_its_own_defaults() -> None:
    changed = FASHION.with_settings(["model.name=resnet", "model.depth=18"])
    assert changed.sections()["model"] == resnet.Settings(depth=18).parameters()


def test_an_experiment_survives_the_trip_through_its_sections() -> None:
    assert experiment.Experiment.from_sections(FASHION.sections()) == FASHION


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("training.epochs=-1", "training.epochs: should be greater than or equal to 1, not -1"),
        ("training.epochs=many", "training.epochs: should be a valid integer"),
        ("training.epoch=3", "unknown setting training.epoch; did you mean epochs?"),
        ("trainig.epochs=3", "unknown section 'trainig'"),
        ("epochs=3", "--set 'epochs=3': write section.setting=value"),
        ("training.epochs", "--set 'training.epochs': write section.setting=value"),
        ("data.name=fashion", "unknown data source 'fashion'; did you mean fashion_mnist?"),
        ("model.name=cnnn", "unknown model 'cnnn'; did you mean cnn?"),
        ("data.task=image_clasification", "unknown task 'image_clasification'; did you mean image_classification?"),
        ("data.split=[0.9,0.3,0.1]", "data.split: the fractions of train, validation and test must sum to 1, not 1.3"),
        ("data.split=[0.9,0.1]", "data.split"),
        ("data.split=[1,0,0]", "training.patience: 2 epochs of patience need a validation split"),
        ("data.max_age=7 days", "data.max_age"),
        ("model.filters=[8,8,8,8,8]", "model: convolution and pool 5 of 5 leave nothing of 28 pixels"),
        ("model.filters=[]", "model.filters"),
        ('evaluation.require=["accuracy over 0.9"]', "evaluation.require.0: a threshold reads like accuracy>=0.9"),
        ("evaluation.margin=-0.1", "evaluation.margin"),
        ('export.formats=["savedmodel"]', "export.formats.0"),
        ("export.formats=[]", "export.formats"),
    ],
)
def test_bad_settings_are_refused_in_one_line(change: str, message: str) -> None:
    with pytest.raises(StepError) as caught:
        FASHION.with_settings([change])
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("data.version=1.10", "1.10"),
        ("data.version=true", "true"),
        ("data.version=00123", "00123"),
        ("data.version=1e3", "1e3"),
        ("data.version=null", "null"),
        ('data.version="1.10"', "1.10"),
        ("data.version=a,b", "a,b"),
        ("data.version=", ""),
        ("export.formats=onnx", ("onnx",)),
        ("export.formats=onnx,litert", ("onnx", "litert")),
        ("export.formats=[onnx, litert]", ("onnx", "litert")),
        ('export.formats=["onnx"]', ("onnx",)),
        ("data.split=0.6,0.1,0.3", (0.6, 0.1, 0.3)),
        ("data.split=(0.6, 0.1, 0.3)", (0.6, 0.1, 0.3)),
        ("model.filters=8", (8,)),
        ("model.filters=8,16", (8, 16)),
        ("training.epochs=3", 3),
        ("training.epochs=1e1", 10),
        ("training.learning_rate=.5", 0.5),
        ("training.class_weight=balanced", "balanced"),
        ("training.class_weight=Bag:2,Shirt:0.5", {"Bag": 2, "Shirt": 0.5}),
        ('training.class_weight={"Bag": 2}', {"Bag": 2}),
        ("training.class_weight.Bag=2", {"Bag": 2}),
    ],
)
def test_a_setting_is_what_was_typed(change: str, expected: Any) -> None:
    section, _, name = change.partition("=")[0].partition(".")
    changed = FASHION.with_settings([change])
    assert getattr(getattr(changed, section), name.partition(".")[0]) == expected


def test_a_shape_is_typed_as_it_is_written() -> None:
    changed = experiment.load("cifar10").with_settings(
        ["data.name=image_folder", "data.folder=x", "data.image_shape=32,32,3"]
    )
    assert changed.experiment.data.input_shape() == (32, 32, 3)


@pytest.mark.parametrize(
    "text",
    ["{{$.inputs.parameters['data_root']}}", "{{workflow.name}}", "a\nb", "\x1b[31m", "a\u202eb", "a\tb", "\udcff"],
)
@pytest.mark.parametrize(
    "setting", ["data.version", "training.augmentation", "training.class_weight.Bag", "model.name"]
)
def test_text_that_misleads_a_reader_or_kubeflow_is_refused_in_one_line(setting: str, text: str) -> None:
    with pytest.raises(StepError) as failure:
        FASHION.with_settings([f"{setting}={text}"])
    told = one_line(failure)
    assert setting.partition(".")[0] in told and "\x1b" not in told and "\u202e" not in told
    sections = FASHION.sections()
    sections["data"]["version"] = text
    with pytest.raises(StepError, match=r"Kubeflow replaces|one line of visible characters"):
        experiment.Experiment.from_sections(sections)


def test_an_unknown_pipeline_offers_the_nearest_before_anything_is_compiled() -> None:
    assert "training" in experiment.pipelines()
    assert not {"experiment", "compiler", "steps"} & set(experiment.pipelines())
    with pytest.raises(StepError, match=r"unknown pipeline 'trainin'; did you mean training\?"):
        replace(FASHION, pipeline="trainin")


def test_an_unknown_experiment_offers_the_nearest() -> None:
    with pytest.raises(StepError, match=r"unknown experiment 'fashion-mnist'; did you mean fashion_mnist\?"):
        experiment.load("fashion-mnist")


HEAD = """from components.data import digits; from components.models import cnn
from components.tasks import image_classification as task; from components.train.settings import TrainingSettings
from components.export.settings import ExportSettings; from pipelines.experiment import Experiment
"""


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("mine.py", "EXPERIMENT = 3", "defines no EXPERIMENT"),
        ("mine.py", "import nothing_of_the_kind", "does not load: ModuleNotFoundError"),
        ("mine.py", "EXPERIMENT = (", "does not load: SyntaxError"),
        ("My-File.py", "", "an experiment's file name is its model's name"),
        (
            "mine.py",
            HEAD + "TRAINING = TrainingSettings(epochs=0)",
            r"mine\.py \(line 4\): training\.epochs: should be greater than or equal to 1, not 0$",
        ),
        (
            "mine.py",
            HEAD + "DATA = digits.Settings(limt=3)",
            r"mine\.py \(line 4\): unknown setting data\.limt; did you mean limit\?",
        ),
        ("mine.py", HEAD + "MODEL = cnn.Settings(filters=())", r"\(line 4\): model\.filters: "),
        ("mine.py", HEAD + "EVALUATION = task.Settings(margin=2)", r"\(line 4\): evaluation\.margin: should be less"),
        ("mine.py", HEAD + "EXPORT = ExportSettings(formats=['tflite'])", r"\(line 4\): export\.formats\.0: should be"),
        (
            "mine.py",
            HEAD + "DATA = digits.Settings(version='{{workflow.name}}')",
            r"\(line 4\): data: version contains \{\{, which Kubeflow replaces",
        ),
        (
            "mine.py",
            HEAD + "E = Experiment(data=digits.Settings(), model=cnn.Settings(), evaluation=3)",
            r"mine\.py \(line 4\): evaluation: the task image_classification needs",
        ),
    ],
)
def test_a_broken_experiment_file_is_told_in_one_line(name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(StepError, match=message):
        experiment.load(str(tmp_path / name))


def test_an_experiment_file_outside_the_package_loads(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        '"""Mine."""\nfrom pipelines.experiments.digits import EXPERIMENT as BASE\n'
        'EXPERIMENT = BASE.with_settings(["training.epochs=2"])\n'
    )
    named = experiment.load(str(tmp_path / "mine.py"))
    assert (named.name, named.text, named.experiment.training.epochs) == ("mine", "Mine.", 2)


def test_reviews_come_from_tensorflow_datasets_by_two_settings() -> None:
    changed = experiment.load("movie_reviews").with_settings(["data.name=tfds", "data.dataset=imdb_reviews"]).experiment
    assert (changed.data.name, changed.data.task) == ("tfds", "text_classification")
    assert changed.evaluation == experiment.load("movie_reviews").experiment.evaluation


def commands(name: str) -> list[list[str]]:
    """The words of each command, and of each ``--set``, in an experiment's docstring."""
    text = importlib.import_module(f"pipelines.experiments.{name}").__doc__ or ""
    found = re.finditer(r"^    (?P<line>suanli .*)$|``(?P<part>--set .*?)``", text, re.MULTILINE)
    return [shlex.split(match["line"] or match["part"], comments=True) for match in found]


def test_the_commands_of_the_docstrings_can_be_given() -> None:
    faults, given = [], 0
    for name in experiment.names():
        for words in commands(name):
            given += 1
            if words[0] == "suanli" and words[2] != name:
                faults.append(f"{name}: {words} is about another experiment")
            try:
                experiment.load(name).with_settings(
                    setting for flag, setting in itertools.pairwise(words) if flag == "--set"
                )
            except StepError as error:
                faults.append(f"{name}: {error}")
    assert given > 20 and faults == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([], ""),
        (["evaluation.margin=0.005"], "with 359 test examples only margins from 0.0084 can be shown"),
        (["data.limit=295"], "with 59 test examples only margins from 0.05 can be shown"),
        (["evaluation.margin=0"], ""),
    ],
)
def test_a_test_split_too_small_for_the_margin_is_known_before_anything_runs(changes: list[str], said: str) -> None:
    problem = experiment.load("digits").with_settings(changes).experiment.gate_problem()
    assert problem.startswith(said) and bool(problem) == bool(said)
    assert "data.split" in problem or not said
