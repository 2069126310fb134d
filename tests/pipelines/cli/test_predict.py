import importlib.util
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components import registry
from components.core import choices
from components.core.inference import Predictor
from components.tasks import image_classification
from pipelines.cli.main import main

CLASSES = ["dark", "bright"]


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that tells dark pictures from bright ones, as LiteRT and ONNX."""
    import keras

    from components.core import devices
    from components.export import formats
    from components.tasks.contract import Task

    folder = tmp_path_factory.mktemp("version")
    with devices.configured(backend="tensorflow", precision="float32"):
        inputs = keras.Input((4, 4, 1), dtype="uint8", name="image")
        mean = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(inputs))
        model = keras.Model(inputs, keras.layers.Dense(2)(mean))
        model.set_weights([np.array([[-8.0, 8.0]]), np.array([4.0, -4.0])])
        pictures = np.zeros((1, 4, 4, 1), np.uint8)
        formats.write(
            formats.source(model, Task("image_classification", {}).serving, {}, pictures), folder, ("litert", "onnx")
        )
    (folder / "model.keras").write_text("not needed")
    described = {
        "task": "image_classification",
        "info": {"classes": CLASSES, "image_shape": [4, 4, 1]},
        "evaluation": image_classification.Settings(abstain_below=0.6).parameters(),
    }
    (folder / "version.json").write_text(json.dumps(described))
    return folder


@pytest.fixture
def runs(version: Path, tmp_path: Path) -> Path:
    """A folder of runs: a published model ``light``, a run that exported it and one that was refused."""
    root = tmp_path / "runs"
    registry.publish(str(root / "registry" / "light"), version, "v1", "")
    for name, exported in (("20260101-000000-light", True), ("20260102-000000-dull", False)):
        (root / name / "steps").mkdir(parents=True)
        (root / name / "run.json").write_text(json.dumps({"status": "succeeded"}))
        record = {"step": "export", "started": 0, "outputs": {"exported": {"path": str(version)}}}
        if exported:
            (root / name / "steps" / "export.json").write_text(json.dumps(record))
    return root


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    for name, level in (("a.png", 0), ("more/b.png", 255), ("more/c.png", 128)):
        Image.fromarray(np.full((6, 6), level, np.uint8)).save(folder / name)
    return folder


def predicted(capsys: pytest.CaptureFixture[str], *arguments: Any) -> list[dict[str, Any]]:
    assert main(["predict", *map(str, arguments)]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(
    "model",
    [
        "light",
        "{runs}/registry/light",
        "{runs}/registry/light/versions/v1",
        "{version}",
        "20260101-000000-light",
        "20260101",
    ],
)
def test_a_model_has_many_names(
    model: str, runs: Path, version: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = predicted(capsys, model.format(runs=runs, version=version), pictures, "--runs", runs)
    assert [(Path(one["input"]).name, one["label"]) for one in found] == [
        ("a.png", "dark"),
        ("b.png", "bright"),
        ("c.png", None),
    ]
    assert all(one["probability"] == one["top"][0]["probability"] for one in found)


@pytest.mark.parametrize("name", ["litert", "onnx"])
def test_files_arrays_and_folders_come_in_the_order_given(
    name: str, runs: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "two.npy", np.stack([np.full((4, 4), level, np.uint8) for level in (255, 0)]))
    arguments = (tmp_path / "two.npy", pictures / "a.png", "--format", name, "--top", 1, "--runs", runs)
    found = predicted(capsys, "light", *arguments)
    assert [one["label"] for one in found] == ["bright", "dark", "dark"]
    assert [len(one["top"]) for one in found] == [1, 1, 1]


def test_a_terminal_gets_a_table(
    runs: Path, pictures: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(["predict", "light", str(pictures), "--runs", str(runs)]) == 0
    head, first, *_, last = capsys.readouterr().out.splitlines()
    assert head.split() == ["input", "label", "probability", "next"]
    assert first.split()[1:] == ["dark", "1.000", "bright", "0.000"]
    assert "none is sure enough" in last


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lihgt", "{pictures}"], "unknown model 'lihgt'"),
        (["lihgt", "{pictures}"], "did you mean light?"),
        (["{pictures}", "{pictures}"], "holds neither version.json nor champion.json"),
        (["20260102-000000-dull", "{pictures}"], "run 20260102-000000-dull exported no model"),
        (["light", "{pictures}", "--format", "litert_int8"], "has no format 'litert_int8'"),
        (["light", "{pictures}", "--format", "tflite"], "has no format 'tflite'"),
        (["light", "{pictures}", "--top", "-1"], "--top"),
        (["light", "{pictures}", "--set", "top_k"], "write NAME=VALUE"),
        (
            ["light", "{pictures}", "--set", "topk=2"],
            "the task image_classification has no setting 'topk'; did you mean",
        ),
        (["light", "{pictures}", "--set", "margin=0.5"], "has no setting 'margin'"),
        (["light", "{pictures}", "--set", "abstain_below=2"], "evaluation.abstain_below"),
        (["light", "--text", "a"], "the task image_classification does not take text"),
        (["light", "{pictures}", "--output", "{pictures}/drawn"], "the task image_classification draws no pictures"),
        (["light"], "there is nothing to predict; give files, folders or --text"),
        ([], "Missing argument"),
        (["light", "{pictures}", "{pictures}/nothing.png"], "no such file or folder"),
    ],
)
def test_what_cannot_be_predicted_is_told_in_one_line(
    arguments: list[str], message: str, runs: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [argument.format(pictures=pictures) for argument in arguments]
    assert main(["predict", *command, "--runs", str(runs)]) == 2
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert line.startswith("error: ") and message in line and not said.out


BAD = {
    "empty": "no images in",
    "broken.png": "cannot be read as an image",
    "text.txt": "is not an image",
    "text.png": "cannot be read as an image: not JPEG",
    "float.npy": "must hold uint8 pixels",
}


def bad(folder: Path) -> list[str]:
    """The paths of BAD, between two good pictures."""
    (folder / "empty").mkdir(parents=True)
    Image.fromarray(np.full((90, 90), 7, np.uint8)).save(folder / "whole.png")
    (folder / "broken.png").write_bytes((folder / "whole.png").read_bytes()[:40])
    for name in ("text.txt", "text.png"):
        (folder / name).write_text("text")
    np.save(folder / "float.npy", np.zeros((4, 4)))
    return [str(folder / name) for name in BAD]


@pytest.mark.parametrize("shown", ["lines", "a table"])
def test_a_bad_input_leaves_the_others_and_the_exit_code_tells(
    shown: str,
    runs: Path,
    pictures: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: shown == "a table")
    paths = [str(pictures / "a.png"), *bad(tmp_path / "bad"), str(pictures / "more")]
    assert main(["predict", "light", *paths, "--runs", str(runs)]) == 1
    said = capsys.readouterr()
    told = said.err.splitlines()
    assert len(told) == len(BAD)
    assert all(line.startswith("error: ") and fault in line for line, fault in zip(told, BAD.values(), strict=True))
    if shown == "a table":
        assert [line.split()[1] for line in said.out.splitlines()] == ["label", "dark", "bright", "none"]
        return
    found = [json.loads(line) for line in said.out.splitlines()]
    assert [one.get("label", "bad") for one in found] == ["dark", *["bad"] * len(BAD), "bright", None]
    assert all(fault in one["error"] for one, fault in zip(found[1:], BAD.values(), strict=False))


def test_a_folder_with_bad_files_and_what_systems_leave(
    runs: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pictures / "more/bb.jpg").write_bytes(b"\xff\xd8 cut")
    (pictures / "._a.png").write_bytes(b"left by macOS")
    (pictures / "notes.txt").write_text("beside the pictures")
    assert main(["predict", "light", str(pictures), "--runs", str(runs)]) == 1
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 4 and "more/bb.jpg cannot be read" in said.err


def test_chunks_go_across_inputs(runs: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from components.export import version

    sizes: list[int] = []
    predictor = version.load(runs / "registry/light/versions/v1")
    run = predictor.predictor.run
    counted = replace(predictor, predictor=Predictor(lambda inputs: sizes.append(len(inputs)) or run(inputs)))
    paths = [str(pictures / name) for name in ("a.png", "more/b.png", "more/c.png")] * 30
    assert len(list(counted.predict(chain.from_iterable(map(counted.read, paths))))) == 90
    assert sizes == [64, 26]


def test_settings_that_decide_what_is_made_of_outputs_can_be_others(
    runs: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("light", pictures, "--set", "abstain_below=0", "--set", "top_k=1", "--runs", runs)
    found = predicted(capsys, *arguments)
    assert all(one["label"] in CLASSES and len(one["top"]) == 1 for one in found)


@pytest.fixture
def words(version: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A version of a team's own task: it gives a number to a text, draws it, and has no top_k."""
    files = {
        "__init__": """
from components.tasks import EvaluationSettings
INTERFACE = "text -> number"
class Settings(EvaluationSettings):
    scale: float = 1.0
""",
        "evaluation": """
import numpy as np
from components.tasks import contract
class Evaluation(contract.Evaluation):
    content = "text"
    def predict(self, predictor, batch, assets): return {"lengths": np.array([len(text) for text in batch["text"]])}
    def predictions(self, predicted): return [{"number": self.settings.scale * one} for one in predicted["lengths"]]
""",
        "serving": """
from pathlib import Path
from components.tasks import contract
class Serving(contract.Serving):
    def from_text(self, text): return text.encode()
    def read_inputs(self, path): return [(path, Path(path).read_bytes())]
    def row(self, prediction): return {"number": f"{prediction['number']:g}"}
    def render(self, content, prediction): return b"PNG of " + content
""",
    }
    place = tmp_path / "task"
    place.mkdir()
    for name, source in files.items():
        (place / f"{name}.py").write_text(source)
    folder = tmp_path / "words"
    shutil.copytree(version, folder)
    spec = importlib.util.spec_from_file_location(
        "components.tasks.words", place / "__init__.py", submodule_search_locations=[str(place)]
    )
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    named = choices.names
    monkeypatch.setattr(choices, "names", lambda room: [*named(room), *(["words"] if room == "tasks" else [])])
    monkeypatch.setitem(sys.modules, "components.tasks.words", module)
    for role in ("evaluation", "serving"):
        monkeypatch.delitem(sys.modules, f"components.tasks.words.{role}", raising=False)
    evaluation = module.Settings().parameters()
    (folder / "version.json").write_text(json.dumps({"task": "words", "info": {}, "evaluation": evaluation}))
    return folder


def test_any_task_says_what_its_table_shows_takes_typed_text_and_draws(
    words: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, text in (("a", "one"), ("b", "three")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.txt").write_text(text)
    files = [str(tmp_path / folder / "same.txt") for folder in ("a", "b")]
    arguments = (*files, "--text", "ab", "--set", "scale=2", "--output", tmp_path / "drawn")
    found = predicted(capsys, words, *arguments)
    assert [(one["input"], one["number"]) for one in found] == [(files[0], 6), (files[1], 10), ("ab", 4)]
    drawn = [Path(one["picture"]) for one in found]
    assert [path.name for path in drawn] == ["same.png", "same-2.png", "ab.png"]
    assert [path.read_bytes() for path in drawn] == [b"PNG of one", b"PNG of three", b"PNG of ab"]
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(["predict", str(words), "--text", "abc"]) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [["input", "number"], ["abc", "3"]]


def test_a_drawing_never_takes_the_place_of_an_input(
    words: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.png").write_bytes(b"mine")
    assert main(["predict", str(words), str(tmp_path / "a.png"), "--output", str(tmp_path)]) == 2
    assert "a.png is an input itself; give another folder with --output" in capsys.readouterr().err
    assert (tmp_path / "a.png").read_bytes() == b"mine"


def test_top_is_for_tasks_that_rank_their_answers(words: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(words), "--text", "a", "--top", "3"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line == "error: the task words has no setting 'top_k'; choose from scale"


def test_litert_predicts_without_tensorflow(runs: Path, pictures: Path) -> None:
    script = f"""
import sys
from pipelines.cli.main import main
assert main(["predict", "light", {str(pictures)!r}, "--runs", {str(runs)!r}]) == 0
assert not {{"tensorflow", "keras", "jax"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr, len(done.stdout.splitlines())) == (0, "", 3)


@pytest.mark.parametrize("door", ["a name", "a folder"])
def test_a_version_with_one_flipped_bit_is_refused(
    door: str, runs: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = runs / "registry" / "light" / "versions" / "v1"
    content = bytearray((folder / "model.tflite").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "model.tflite").write_bytes(content)
    model = "light" if door == "a name" else str(folder)
    assert main(["predict", model, str(pictures / "a.png"), "--runs", str(runs)]) == 2
    assert "is damaged: model.tflite has the checksum " in capsys.readouterr().err
