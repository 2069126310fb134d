"""``suanli settings`` tells of every setting what its class says, and docs/settings.md is what it prints."""

import json
from pathlib import Path

import pytest
from answers import answer, document

from components.core import choices
from components.core.config import SECTIONS, section_class
from pipelines import experiment
from pipelines.cli import settings
from pipelines.cli.main import main

pytestmark = pytest.mark.usefixtures("here")
PAGE = Path(__file__).resolve().parents[3] / "docs/settings.md"


def test_the_page_is_current(capsys: pytest.CaptureFixture[str]) -> None:
    text = answer(capsys, "settings", "--markdown")
    assert PAGE.read_text() == text, "run: suanli settings --markdown > docs/settings.md"


def test_every_setting_of_every_class_is_there_with_a_meaning() -> None:
    found = {(each.name, each.choice) for each in settings.matching("")}
    for section, room in {**dict.fromkeys(SECTIONS), **settings.ROOMS}.items():
        for name in choices.names(room) if room else [""]:
            cls = choices.load(room, name).Settings if room else section_class(section, {})
            for field in set(cls.model_fields) - {"schema_version"}:
                assert found & {(f"{section}.{field}", choice) for choice in ("", name)}, f"{section}.{field} of {name}"
    assert [each for each in settings.matching("") if not each.meaning] == []


def test_a_default_is_what_set_takes() -> None:
    """What is printed as an experiment's settings gives the same experiment."""
    for name in experiment.names():
        whole = experiment.load(name).experiment
        for section, values in whole.sections().items():
            # Tables and bounds are shown as JSON or as the text they were typed as.
            plain = {key: value for key, value in values.items() if not isinstance(value, dict | None)}
            for key, value in plain.items():
                if key in {"schema_version", "require", "require_slices"} or value in ("", []):
                    continue
                changed = whole.with_settings([f"{section}.{key}={settings.typed(value)}"])
                assert changed == whole, (name, section, key)


@pytest.mark.parametrize(
    ("name", "names", "chosen"),
    [
        ("training", {"training.epochs", "training.seed"}, {""}),
        ("training.epochs", {"training.epochs"}, {""}),
        ("epochs", {"training.epochs"}, {""}),
        ("data.image_folder", {"data.folder", "data.limit", "data.split", "data.name"}, {"", "image_folder"}),
        ("image_folder", {"data.folder", "data.limit"}, {"", "image_folder"}),
        ("data.image_folder.folder", {"data.folder"}, {"image_folder"}),
        ("data.folder", {"data.folder"}, {"coco_folder", "image_folder", "text_folder"}),
        ("model.cnn", {"model.filters", "model.name"}, {"", "cnn"}),
        ("evaluation.text_generation", {"evaluation.margin"}, {"", "text_generation"}),
    ],
)
def test_a_name_means_a_section_a_choice_or_a_setting(name: str, names: set[str], chosen: set[str]) -> None:
    found = settings.matching(name)
    assert names <= {each.name for each in found} and {each.choice for each in found} == chosen


def test_types_bounds_and_defaults_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    lines = answer(capsys, "settings", "training").splitlines()
    assert "  training.epochs  integer, at least 1; default 10" in lines
    assert "  training.optimizer  adam, adamw, sgd; default adam" in lines
    assert "required" in answer(capsys, "settings", "data.image_folder.folder")
    (epochs,) = document(capsys, "settings", "training.epochs")
    assert epochs == {
        "name": "training.epochs",
        "choice": "",
        "kind": "integer, at least 1",
        "default": "10",
        "meaning": "the most passes over the training split.",
    }


@pytest.mark.parametrize(
    "name", ["data.splt", "nonsense", "model.cn", "training.epochs.more", "data.image_folder.x", "."]
)
def test_an_unknown_name_is_one_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["settings", name]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(f"error: no setting '{name}'") and err.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "name", "said"),
    [
        ("models", "cnn", "model.filters"),
        ("tasks", "image_classification", "evaluation.top_k"),
        ("data", "image_folder", "data.image_shape"),
        ("experiments", "digits", "data.name=digits"),
        ("accelerators", "l4", "g2-standard-8"),
    ],
)
def test_the_lists_take_a_name(command: str, name: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said in answer(capsys, command, name)
    assert json.loads(answer(capsys, command, name, "--json"))
    assert main([command, f"{name}x"]) == 2
    err = capsys.readouterr().err
    assert f" {name}" in err and err.count("\n") == 1
