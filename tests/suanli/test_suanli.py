"""The Python API, on one real run."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import suanli

SETTINGS = {
    "training.epochs": 3,
    "model.filters": [16, 32],
    "evaluation.resamples": 200,
    "evaluation.require": ["accuracy>=0.5"],
    "export.formats": ["litert"],
    "export.timing_seconds": 0.05,
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("api") / "runs"


@pytest.fixture(scope="module")
def done(root: Path) -> suanli.Run:
    return suanli.load("digits").with_settings(SETTINGS).run(root)


def test_importing_it_takes_no_heavy_package() -> None:
    script = "import suanli, sys; print({'numpy', 'kfp', 'tensorflow', 'keras'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "set()\n"


def test_an_experiment_tells_its_settings_and_is_changed_in_a_copy() -> None:
    digits = suanli.load("digits")
    changed = digits.with_settings(SETTINGS).with_settings({"data.split": [0.6, 0.1, 0.3]})
    assert (digits.settings["training.epochs"], changed.settings["training.epochs"]) == (10, 3)
    assert tuple(changed.settings["model.filters"]) == (16, 32) and tuple(changed.settings["data.split"])[-1] == 0.3
    assert (changed.name, changed.description) == ("digits", digits.description) and digits.description
    assert changed.warnings() == []
    assert "training.epochs" in changed._repr_html_() and "digits" in suanli.experiment_names()


def test_a_test_split_that_is_too_small_is_told_before_a_run() -> None:
    (warning,) = suanli.load("digits").with_settings({"evaluation.margin": 0.001}).warnings()
    assert "examples" in warning


def test_an_experiment_compiles_to_the_file_that_the_command_writes() -> None:
    command = [Path(sys.executable).with_name("suanli"), "compile", "digits"]
    assert suanli.load("digits").compile() == subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("digitz", {}, "unknown experiment 'digitz'; did you mean digits?"),
        ("digits", {"training.epochz": 3}, "training.epochz"),
        ("digits", {"training.epochs": "many"}, "training.epochs"),
        ("digits", {"epochs": 3}, "section.setting=value"),
    ],
)
def test_a_mistake_is_an_error_of_one_line(name: str, settings: dict[str, object], message: str) -> None:
    with pytest.raises(suanli.Error) as caught:
        suanli.load(name).with_settings(settings)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_run_is_there_with_its_results_and_its_page(root: Path, done: suanli.Run) -> None:
    assert (done.status, done.accepted, done.error) == ("succeeded", True, "")
    assert 0.5 < done.metrics["accuracy_low"] < done.metrics["accuracy"] and done.reasons
    assert done.page.is_file() and done.record["id"] == done.id == done.folder.name
    assert done._repr_html_().startswith("<iframe srcdoc=") and "&lt;" in done._repr_html_()
    assert done in suanli.runs(root) and suanli.run(done.id[:15], root) == done


def test_a_run_that_fails_says_why_in_the_line_of_the_command(root: Path) -> None:
    with pytest.raises(suanli.RunError, match=r"^prepare failed: ") as caught:
        suanli.load("digits").with_settings({"data.limit": 2}).run(root)
    failed = caught.value.run
    assert failed.status == "failed" and failed.error == str(caught.value) and "\n" not in failed.error
    assert failed.accepted is None and failed.metrics == {}


def test_a_second_run_is_compared_with_the_first(root: Path, done: suanli.Run) -> None:
    second = suanli.load("digits").with_settings({**SETTINGS, "evaluation.require": ["accuracy>=1"]}).run(root)
    assert second.accepted is False and suanli.run(root=root) == second
    compared = suanli.compare(done, second)
    assert list(compared.differences["parameters"]) == ["evaluation.require"]
    assert second.id in compared._repr_html_()
    with pytest.raises(suanli.Error, match="two runs or more"):
        suanli.compare(done)


def test_the_published_model_predicts(root: Path, done: suanli.Run, tmp_path: Path) -> None:
    pictures, labels = load_digits(return_X_y=True)
    for number in range(20):
        picture = (pictures[number].reshape(8, 8) / 16 * 255).astype(np.uint8)
        Image.fromarray(picture).save(tmp_path / f"{number:02}.png")
    found = list(suanli.predict("digits", [tmp_path], settings={"top_k": 1}, root=root))
    assert [Path(one["input"]).name for one in found] == [f"{number:02}.png" for number in range(20)]
    assert sum(one["label"] == str(label) for one, label in zip(found, labels, strict=False)) > 10
    with pytest.raises(suanli.Error, match="nothing to predict"):
        list(suanli.predict("digits", root=root))
    with pytest.raises(suanli.Error, match="unknown model 'digitz'"):
        list(suanli.predict("digitz", [tmp_path], root=root))
