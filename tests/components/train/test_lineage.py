"""Lineage: a training goes on from checkpoints of its own code, and of others only if it is told to."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components import storage
from components.core.errors import StepError
from components.train import environment, lineage
from components.train.lineage import Lineage
from components.train.settings import TrainingSettings

OWN = Lineage("abc", {"components/train/loop.py": "1"}, {"keras": "3.15"}, "tensorflow", "mixed_float16")
IN_BFLOAT16 = replace(OWN, precision="mixed_bfloat16")
EDITED = replace(OWN, code={"components/train/loop.py": "2"})


def publish(root: Path, own: Lineage, name: str = "epoch-00002-lease-00001") -> None:
    path = root / own.folder / name
    path.mkdir(parents=True)
    (path / "checkpoint.npz").touch()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the local run that this process belongs to."""
    folder = tmp_path / "20261201-120000-digits"
    folder.mkdir()
    monkeypatch.setenv("SUANLI_RUN", str(folder))
    return folder


def noted(run: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((run / lineage.FILE).read_text())
    return values


@pytest.mark.parametrize(
    "change",
    [
        {"settings": "abd"},
        {"code": {"components/train/loop.py": "2"}},
        {"versions": {"keras": "3.16"}},
        {"backend": "jax"},
        {"precision": "float32"},
        {"origin": "abc-1"},
    ],
    ids=str,
)
def test_whatever_decides_the_result_is_in_the_name_of_the_folder(change: dict[str, Any]) -> None:
    assert replace(OWN, **change).folder != OWN.folder
    assert replace(OWN, **change).folder.partition("-")[0] == change.get("settings", "abc")


def test_pythons_version_is_one_of_the_libraries() -> None:
    code, versions = lineage.installed({"tasks": "image_classification", "models": "cnn"})
    assert "components/train/loop.py" in code and {"python", "keras", "numpy"} <= versions.keys()


def test_checkpoints_are_listed_in_the_order_of_training(tmp_path: Path) -> None:
    names = [
        "epoch-00002",
        "epoch-00002-lease-00003",
        "epoch-00002-step-00000090-lease-00003",
        "epoch-00002-step-00001000-lease-00002",
        "epoch-00003-lease-00001",
        "epoch-00003-lease-00012",
    ]
    for name in [*reversed(names), "epoch-2", "epoch-00004-lease-", ".epoch-00005"]:
        publish(tmp_path, OWN, name)
    folder = str(tmp_path / OWN.folder)
    assert [checkpoint.name for checkpoint in lineage.checkpoints(folder)] == names
    (tmp_path / OWN.folder / names[4] / "damaged.json").touch()
    assert [checkpoint.name for checkpoint in lineage.checkpoints(folder)] == [*names[:4], names[5]]
    assert [checkpoint.name for checkpoint in lineage.checkpoints(folder, damaged=True)] == names


# --- on a cluster ----------------------------------------------------------------------------------------------------


def test_a_precision_that_was_chosen_by_another_rung_is_kept(tmp_path: Path) -> None:
    root = str(tmp_path)
    assert lineage.resolve(OWN, root, automatic=True) == OWN
    publish(tmp_path, IN_BFLOAT16)
    assert lineage.resolve(OWN, root, automatic=True) == IN_BFLOAT16
    assert lineage.resolve(OWN, root, automatic=False) == OWN, "the settings name the precision"
    assert lineage.resolve(EDITED, root, automatic=True) == EDITED, "another code's precision is its own"
    publish(tmp_path, replace(OWN, precision="float32"), "epoch-00007-lease-00001")
    assert lineage.resolve(OWN, root, automatic=True).precision == "float32", "the furthest checkpoint is taken"
    publish(tmp_path, OWN, "epoch-00001-lease-00001")
    assert lineage.resolve(OWN, root, automatic=True) == OWN


# --- a local run -----------------------------------------------------------------------------------------------------


def test_a_run_notes_what_it_trains_with_and_goes_on_with_the_same(tmp_path: Path, run: Path) -> None:
    assert lineage.resolve(OWN, str(tmp_path), automatic=True) == OWN
    assert noted(run)["folder"] == OWN.folder
    publish(tmp_path, OWN)
    assert lineage.resolve(OWN, str(tmp_path), automatic=True) == OWN
    # The device, or the driver, is another one after the interruption.
    assert lineage.resolve(IN_BFLOAT16, str(tmp_path), automatic=True) == OWN


def test_a_new_run_never_takes_another_ones_precision(tmp_path: Path, run: Path) -> None:
    """The key under which its result is kept names the precision that suits its device."""
    publish(tmp_path, IN_BFLOAT16)
    assert lineage.resolve(OWN, str(tmp_path), automatic=True) == OWN


@pytest.mark.parametrize(
    ("change", "named", "allowable"),
    [
        ({"code": {"components/train/loop.py": "2"}}, "components/train/loop.py", True),
        ({"versions": {"keras": "3.16"}}, "keras", True),
        ({"backend": "jax"}, "backend tensorflow -> jax", False),
        ({"settings": "abd"}, "settings abc -> abd", False),
        ({"precision": "float32"}, "precision mixed_float16 -> float32", False),
    ],
    ids=str,
)
def test_a_resumed_run_refuses_other_code_unless_it_is_allowed(
    tmp_path: Path, run: Path, change: dict[str, Any], named: str, allowable: bool
) -> None:
    lineage.resolve(OWN, str(tmp_path), automatic=False)
    other = replace(OWN, **change)
    assert lineage.resolve(other, str(tmp_path), automatic=False) == other, "no checkpoint, nothing to mix"
    lineage.resolve(OWN, str(tmp_path), automatic=False)
    publish(tmp_path, OWN)
    with pytest.raises(StepError, match=f"has changed since: {named}; change it back, start") as caught:
        lineage.resolve(other, str(tmp_path), automatic=False)
    assert caught.value.kind == "settings"
    assert (f"suanli run --resume {run.name} --other-code" in str(caught.value)) is allowable
    assert noted(run)["folder"] == OWN.folder
    lineage.write(str(run), noted(run) | {lineage.ALLOWED: True})
    if not allowable:
        with pytest.raises(StepError, match="has changed since"):
            lineage.resolve(other, str(tmp_path), automatic=False)
        return
    went_on = lineage.resolve(other, str(tmp_path), automatic=False)
    assert went_on == replace(other, origin=OWN.folder)
    assert went_on.folder not in {OWN.folder, other.folder}, "a training of the new code alone is another one"
    publish(tmp_path, went_on)
    assert lineage.resolve(other, str(tmp_path), automatic=False) == went_on, "resumed again, without the option"
    with pytest.raises(StepError, match="has changed since"):
        lineage.resolve(OWN, str(tmp_path), automatic=False)


def test_leave_to_go_on_with_one_code_is_none_for_the_next(tmp_path: Path, run: Path) -> None:
    lineage.resolve(OWN, str(tmp_path), automatic=False)
    publish(tmp_path, OWN)
    lineage.write(str(run), noted(run) | {lineage.ALLOWED: True})
    assert lineage.resolve(EDITED, str(tmp_path), automatic=False).origin == OWN.folder
    # It has ended and removed its own checkpoints; a later step failed, and the code was edited again.
    third = replace(OWN, code={"components/train/loop.py": "3"})
    assert lineage.resolve(third, str(tmp_path), automatic=False) == third


def test_a_result_of_two_codes_is_kept_under_a_key_of_its_own(tmp_path: Path, run: Path) -> None:
    parameters = TrainingSettings(backend="tensorflow", precision="auto", threads=2).parameters()

    def state() -> str:
        return environment.environment(parameters, "")

    own, precision = state(), state().split(", ")[1]
    lineage.resolve(replace(OWN, precision="mixed_float16"), str(tmp_path), automatic=True)
    assert state() == own.replace(precision, "mixed_float16")
    publish(tmp_path, OWN)
    lineage.write(str(run), noted(run) | {lineage.ALLOWED: True})
    mixed = state()
    assert mixed.endswith(f", from {OWN.folder}")
    lineage.resolve(EDITED, str(tmp_path), automatic=True)
    assert state() == mixed, "when the run is resumed once more"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"folder": "abc"}', "{"])
def test_a_damaged_note_is_none(tmp_path: Path, run: Path, text: str) -> None:
    (run / lineage.FILE).write_text(text)
    assert lineage.resolve(OWN, str(tmp_path), automatic=True) == OWN
    assert storage.listing(str(tmp_path / OWN.folder)) == []
