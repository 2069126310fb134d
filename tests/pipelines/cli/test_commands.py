import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.data import fashion_mnist
from pipelines import experiment
from pipelines.cli.main import main
from pipelines.local import machine


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SUANLI_RUNS", str(tmp_path / "runs"))
    monkeypatch.delenv("SUANLI_DEBUG", raising=False)
    return tmp_path


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("room", "some"),
    [
        ("experiments", {"digits", "fashion_mnist", "cifar10", "imagenet"}),
        ("data", {"digits", "fashion_mnist", "tfds"}),
        ("models", {"cnn", "resnet"}),
        ("tasks", {"image_classification"}),
    ],
)
def test_what_there_is_to_choose_from(room: str, some: set[str], capsys: pytest.CaptureFixture[str]) -> None:
    listed = json.loads(answer(capsys, room, "--json"))
    assert some <= {choice["name"] for choice in listed}
    assert all(choice["description"] for choice in listed)
    lines = answer(capsys, room).splitlines()
    assert [line.split()[0] for line in lines] == [choice["name"] for choice in listed]


def test_models_and_tasks_tell_what_goes_in_and_comes_out(capsys: pytest.CaptureFixture[str]) -> None:
    models, tasks = (json.loads(answer(capsys, room, "--json")) for room in ("models", "tasks"))
    told = {choice["name"]: choice["interface"] for choice in (*models, *tasks)}
    assert told["cnn"] == told["image_classification"] == "image -> classes"
    # No model without a task that it fits.
    assert {model["interface"] for model in models} <= {task["interface"] for task in tasks}
    [line] = [line for line in answer(capsys, "models").splitlines() if line.startswith("cnn ")]
    assert line.split()[1:4] == ["image", "->", "classes"]


def test_compile_writes_the_settings_and_the_target(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--set", "training.epochs=3", "--target", "local")
    printed = answer(capsys, "compile", "digits", *arguments)
    answer(capsys, "compile", "digits", "--output", "build/mine.yaml", *arguments)
    assert (here / "build" / "mine.yaml").read_text() == printed
    parameters = next(yaml.safe_load_all(printed))["root"]["inputDefinitions"]["parameters"]
    assert parameters["training"]["defaultValue"]["epochs"] == 3
    assert parameters["registry"]["defaultValue"] == str(here / "runs" / "registry" / "digits")


def test_compile_all_writes_a_file_for_each_experiment(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "targets.toml").write_text(
        '[team]\nimage_prefix = "docker.pkg.dev/team/suanli"\ndata_root = "gs://d"\n'
        'checkpoint_root = "gs://c"\nregistry = "gs://r"\n'
    )
    answer(capsys, "compile", "--all", "--output", "build", "--target", "team")
    assert sorted(path.stem for path in (here / "build").iterdir()) == experiment.names()
    assert "gs://r/imagenet" in (here / "build" / "imagenet.yaml").read_text()


def test_doctor_looks_at_everything(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found: list[dict[str, Any]] = json.loads(answer(capsys, "doctor", "--json"))
    looked_at = {result["what"] for result in found}
    assert {"python", "kfp", "keras", "lock file", "fashion_mnist", "processor", "memory", "disk"} <= looked_at
    assert all(result["advice"] for result in found if result["level"] != "ok")


def test_doctor_says_where_data_are_that_can_be_installed_or_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fashion_mnist, "FOLDER", tmp_path)
    found = {one["what"]: one for one in json.loads(answer(capsys, "doctor", "--json"))}
    assert (found["fashion_mnist"]["level"], found["fashion_mnist"]["found"]) == ("warn", "not installed")
    assert "make data" in found["fashion_mnist"]["advice"]
    for split in fashion_mnist.FILES:
        for what in ("images-idx3", "labels-idx1"):
            fashion_mnist._path(split, what).touch()
    found = {one["what"]: one for one in json.loads(answer(capsys, "doctor", "--json"))}
    assert (found["fashion_mnist"]["level"], found["fashion_mnist"]["found"]) == ("ok", str(tmp_path))


def test_doctor_finds_a_missing_package_and_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(machine, "STEPS_NEED", {"no_such_package": "no-such-package"})
    assert main(["doctor"]) == 1
    line = next(line for line in capsys.readouterr().out.splitlines() if "no-such-package" in line)
    assert line.startswith("fail") and "make setup" in line
