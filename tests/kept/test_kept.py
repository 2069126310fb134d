"""What an older Suanli saved still loads, predicts, is listed and resumed.

``before.tar.xz`` holds what the code of 1 December 2026 (commit a43ae80) made: the registry of a tiny model of each
task with every format, two runs of ``digits`` (one that succeeded, one that was interrupted in export), a few inputs,
and what ``suanli predict`` said of them then. ``@RUNS@`` and ``@CHECKOUT@`` stand for the folders where it was made.
"""

import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

ARCHIVE = Path(__file__).with_name("before.tar.xz")
CHECKOUT = Path(__file__).resolve().parents[2]
SUCCEEDED, INTERRUPTED = "20261201-081030-digits", "20261201-081631-digits"
MODELS = ("composed_scenes", "digits", "movie_reviews", "movie_reviews_lstm", "number_words", "reviews_lm")
# What the detector, which is hardly trained, was asked to show.
SETTINGS = {"composed_scenes": {"confidence": 0.3}}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive, unpacked, with the paths in it as they are here."""
    folder = tmp_path_factory.mktemp("kept")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    for path in folder.rglob("*"):
        if path.is_file() and (data := path.read_bytes()) and (b"@RUNS@" in data or b"@CHECKOUT@" in data):
            there = data.replace(b"@RUNS@", str(folder / "runs").encode())
            path.write_bytes(there.replace(b"@CHECKOUT@", str(CHECKOUT).encode()))
    return folder


def suanli(kept: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "pipelines", *arguments, "--runs", str(kept / "runs")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def version_of(kept: Path, model: str) -> Path:
    (folder,) = (kept / "runs" / "registry" / model / "versions").iterdir()
    return folder


def test_every_task_has_a_kept_model_with_its_formats(kept: Path) -> None:
    from components.core import choices
    from components.export import runtime

    tasks = set()
    for model in MODELS:
        folder = version_of(kept, model)
        described = json.loads((folder / "version.json").read_text())
        tasks.add(described["task"])
        there = {name for name, place in runtime.PATHS.items() if (folder / place).exists()}
        assert there == {"keras", *described["formats"]}
    assert tasks <= set(choices.names("tasks")) and len(tasks) == 5


@pytest.mark.parametrize("model", MODELS)
def test_a_saved_model_loads_and_every_format_predicts_what_it_did(kept: Path, model: str) -> None:
    from components.export import version
    from components.layers import saved_model

    folder = version_of(kept, model)
    assert saved_model.load(folder / "model.keras").count_params() > 0
    expected = json.loads((kept / "expected.json").read_text())[model]
    for name, rows in expected.items():
        opened = version.load(folder, name).with_settings(SETTINGS.get(model, {}))
        for row in rows:
            file = kept / "inputs" / row["input"]
            found = (
                opened.predict(opened.read(str(file)))
                if file.is_file()
                else opened.predict([(row["input"], row["input"].encode())])
            )
            (said,) = [json.loads(json.dumps(one.values)) for one in found]
            assert_alike(said, {key: value for key, value in row.items() if key != "input"}, f"{model} {name}")


def assert_alike(found: Any, expected: Any, where: str) -> None:
    """Equal, numbers but for what another processor may round otherwise."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), where
        for key in expected:
            assert_alike(found[key], expected[key], f"{where}.{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for number, (one, other) in enumerate(zip(found, expected, strict=True)):
            assert_alike(one, other, f"{where}[{number}]")
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-4), where
    else:
        assert found == expected, where


def test_the_registry_is_listed_and_whole(kept: Path) -> None:
    listed = suanli(kept, "registry", "list")
    assert all(model in listed for model in MODELS)
    for model in MODELS:
        assert "1 published, all files intact" in suanli(kept, "registry", "verify", model)


def test_the_runs_are_listed_and_shown(kept: Path) -> None:
    rows = {row["id"]: row for row in json.loads(suanli(kept, "runs", "list", "--json"))}
    assert rows[SUCCEEDED]["status"] == "succeeded" and rows[INTERRUPTED]["status"] == "interrupted"
    shown = json.loads(suanli(kept, "runs", "show", SUCCEEDED, "--json"))
    assert shown["metrics"]["accuracy"] == pytest.approx(0.1254, abs=1e-4)
    assert set(shown["steps"]) == {"prepare", "train", "evaluate", "export"}


def test_an_interrupted_run_is_resumed_to_its_end(kept: Path) -> None:
    suanli(kept, "run", "--resume", INTERRUPTED)
    shown = json.loads(suanli(kept, "runs", "show", INTERRUPTED, "--json"))
    assert shown["status"] == "succeeded" and shown["metrics"]["accuracy"] == pytest.approx(0.9031, abs=0.02)
