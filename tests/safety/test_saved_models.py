"""A .keras file is data: nothing in it runs, leaves its folder or fills the memory."""

import base64
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.core.errors import StepError
from components.layers import saved_model

keras = pytest.importorskip("keras")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    inputs = keras.Input((4,))
    path = tmp_path / "model.keras"
    keras.Model(inputs, keras.layers.Dense(2)(inputs)).save(path)
    return path


def rewritten(path: Path, change: Callable[[dict[str, Any]], None], **added: bytes) -> Path:
    """The file with another configuration, and more members."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    change(config)
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (members | added).items():
            archive.writestr(name, content)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(StepError) as caught:
        saved_model.load(path)
    assert caught.value.kind == "model" and "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def unsafe() -> Any:
    """Another part of the process has switched Keras's safe mode off for good."""
    from keras.src.backend.common import global_state

    keras.config.enable_unsafe_deserialization()
    yield
    global_state.set_global_attribute("safe_mode_saving", None)


@pytest.fixture
def malicious(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model whose Lambda layer writes a file when it is called, as Keras itself saves it."""
    monkeypatch.chdir(tmp_path)
    inputs = keras.Input((4,))
    path = tmp_path / "malicious.keras"
    # Keras marshals the code of functions without a name.
    layer = keras.layers.Lambda(lambda x: (open("was-here", "w").close(), x)[1])  # noqa: PTH123
    keras.Model(inputs, layer(inputs)).save(path)
    (tmp_path / "was-here").unlink()
    return path


def test_an_honest_model_loads_with_its_weights(model: Path) -> None:
    weights = saved_model.load(model).get_weights()
    assert [list(weight.shape) for weight in weights] == [[4, 2], [2]]


def test_a_lambda_layer_is_refused_and_does_not_run(malicious: Path) -> None:
    assert "it holds a Lambda layer, whose code would run here" in refusal(malicious)
    assert not (malicious.parent / "was-here").exists()


def test_switching_kerass_safe_mode_off_does_not_help_it(malicious: Path, unsafe: None) -> None:
    # Keras alone would now run it, whatever load_model is told: that is what the helper is for.
    keras.saving.load_model(malicious, safe_mode=True)
    assert (malicious.parent / "was-here").exists()
    (malicious.parent / "was-here").unlink()
    assert "Lambda" in refusal(malicious)
    assert not (malicious.parent / "was-here").exists()


def test_marshalled_code_anywhere_in_the_configuration_is_refused(model: Path, unsafe: None) -> None:
    code = {"class_name": "__lambda__", "config": {"value": base64.b64encode(b"code").decode(), "defaults": None}}

    def hide(config: dict[str, Any]) -> None:
        config["config"]["layers"][1]["config"]["activation"] = code

    assert "it holds a Python function" in refusal(rewritten(model, hide))


def test_keras_itself_is_in_safe_mode_too(model: Path, unsafe: None) -> None:
    def reach(config: dict[str, Any]) -> None:
        config["config"]["layers"][1]["config"]["activation"] = {
            "module": "builtins",
            "class_name": "function",
            "config": "exec",
            "registered_name": "function",
        }

    assert "cannot be loaded" in refusal(rewritten(model, reach))


def test_a_layer_that_our_own_check_would_miss_does_not_run(
    malicious: Path, unsafe: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saved_model, "_check", lambda config: None)
    assert "cannot be loaded" in refusal(malicious)
    assert not (malicious.parent / "was-here").exists()


def test_a_vocabulary_is_not_read_from_this_machine(model: Path) -> None:
    def reach(config: dict[str, Any]) -> None:
        config["config"]["layers"][1] |= {
            "class_name": "StringLookup",
            "config": {"name": "lookup", "vocabulary": "/etc/passwd"},
        }

    assert "names the file /etc/passwd" in refusal(rewritten(model, reach))


def test_a_member_that_leads_out_of_the_archive_is_refused(model: Path) -> None:
    path = rewritten(model, lambda config: None, **{"assets/../../escaped.txt": b"x"})
    assert "its member 'assets/../../escaped.txt' would be written outside its folder" in refusal(path)


def test_a_file_that_would_fill_the_disk_is_refused(model: Path) -> None:
    with zipfile.ZipFile(model, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("assets/zeros", bytes(80 * 2**20))
    assert model.stat().st_size < 2**20
    assert "it would grow from" in refusal(model)


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"no archive at all"])
def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.keras").write_bytes(content)
    assert "the model model.keras in" in refusal(tmp_path / "model.keras")


def test_a_file_that_holds_no_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "[" * 100_000)
    assert "cannot be loaded" in refusal(path)
