import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components import storage
from components.core.errors import StepError
from components.core.inference import CHUNK
from components.export import runtime, version

FORMATS = list(runtime.PATHS)


@pytest.fixture(scope="module")
def exported(pristine: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    judged = pristine.copy(tmp_path_factory.mktemp("exported") / "judged")
    return Path(judged.export()["exported"].path)


@pytest.fixture(scope="module")
def ten(pristine: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """A folder with ten real test pictures, and what evaluate recorded for them."""
    from PIL import Image

    from components.core.examples import PreparedData

    batch = next(iter(PreparedData.read(pristine.root / "examples").batches("test", 10)))
    folder = tmp_path_factory.mktemp("ten")
    for number, picture in enumerate(batch["image"].numpy()):
        Image.fromarray(picture[..., 0]).save(folder / f"{number}.png")
    lines = (pristine.root / "verdict" / "predictions.jsonl").read_text().splitlines()
    recorded = {one["key"]: one for one in map(json.loads, lines)}
    return folder, [recorded[key.decode()] for key in batch["key"].numpy().tolist()]


@pytest.mark.parametrize("name", FORMATS)
def test_ten_test_pictures_get_the_labels_that_evaluate_recorded(
    name: str, exported: Path, ten: tuple[Path, list[dict[str, Any]]]
) -> None:
    folder, recorded = ten
    opened = version.load(exported, name)
    found = list(opened.predict(opened.read(str(folder))))
    assert [one.name for one in found] == [str(folder / f"{number}.png") for number in range(10)]
    assert [one.values["label"] for one in found] == [one["label"] for one in recorded]
    tolerance = 0.1 if name in runtime.QUANTIZED else 1e-4
    assert np.allclose(
        [one.values["probability"] for one in found], [one["probability"] for one in recorded], atol=tolerance
    )
    assert [len(one.values["top"]) for one in found] == [3] * 10


def test_more_inputs_than_a_chunk_come_in_order(exported: Path, tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (CHUNK + 3, 8, 8, 1), dtype=np.uint8)
    np.save(tmp_path / "all.npy", pictures)
    np.save(tmp_path / "last.npy", pictures[-1:])
    predictor = version.load(exported).with_settings({"top_k": 1})
    *_, last = predictor.predict(predictor.read(str(tmp_path / "all.npy")))
    (alone,) = predictor.predict(predictor.read(str(tmp_path / "last.npy")))
    assert last.name.endswith(f"[{CHUNK + 2}]")
    assert last.values["label"] == alone.values["label"]
    assert last.values["probability"] == pytest.approx(alone.values["probability"])
    assert len(alone.values["top"]) == 1


def test_the_first_choice_is_litert(exported: Path) -> None:
    assert version.load(exported).format == "litert"


@pytest.mark.parametrize(
    ("file", "text", "format", "message"),
    [
        ("version.json", "{", "", "version.json cannot be read"),
        ("version.json", "{}", "", "version.json cannot be read"),
        ("model.tflite", "TFL", "", "cannot be loaded"),
        ("model.onnx", "", "onnx", "cannot be loaded"),
        ("model.keras", "PK", "keras", r"is damaged: model\.keras has the digest"),
        ("card.md", "", "tflite", "has no format 'tflite'"),
    ],
)
@pytest.mark.parametrize("sealed", [True, False], ids=["with its manifest", "as older code exported it"])
def test_a_damaged_version_is_named_in_one_line(
    sealed: bool, file: str, text: str, format: str, message: str, exported: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(exported, tmp_path / "version")
    (folder / file).write_text(text)
    if not sealed:
        (folder / storage.MANIFEST).unlink()
    with pytest.raises(StepError, match=f"is damaged: {file} has " if sealed else message) as caught:
        version.load(folder, format)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["litert", "onnx", "keras"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_outputs_that_are_not_finite_are_an_error(
    value: float, name: str, exported: Path, ten: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    from components.export import formats
    from components.layers import saved_model
    from components.tasks.contract import Task

    model = saved_model.load(exported / "model.keras")
    model.set_weights([np.full_like(weight, value) for weight in model.get_weights()])
    folder = tmp_path / "version"
    folder.mkdir()
    shutil.copy(exported / "version.json", folder)
    if name == "keras":
        model.save(folder / "model.keras")
        described = json.loads((folder / "version.json").read_text())
        del described["fingerprints"]
        (folder / "version.json").write_text(json.dumps(described))
    else:
        source = formats.source(model, Task("image_classification", {}).serving, {}, np.zeros((1, 8, 8, 1), np.uint8))
        formats.write(source, folder, (name,))
    with pytest.raises(StepError, match=r"are not finite \(NaN or infinite\)") as caught:
        opened = version.load(folder, name)
        list(opened.predict(opened.read(str(ten[0]))))
    assert caught.value.kind == "model"


def test_a_version_of_a_task_that_is_not_here_says_where_to_work(tmp_path: Path) -> None:
    described = {"task": "rows", "info": {}, "evaluation": {}}
    (tmp_path / "version.json").write_text(json.dumps(described))
    with pytest.raises(StepError, match=r"of the task 'rows', which is not here; work in the project that has it"):
        version.load(tmp_path)
