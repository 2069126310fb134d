"""``suanli registry`` as a user types it, on local folders and on Cloud Storage's emulator."""

import json
from pathlib import Path
from typing import Any

import pytest
from small_versions import written

from components import registry, storage
from components.registry import pointer
from pipelines.cli.main import main


@pytest.fixture(params=["local", "cloud"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A registry's root with the model ``digits``: v1, then v2, and the model ``letters``: v1."""
    monkeypatch.setenv("SUANLI_RUNS", str(tmp_path / "runs"))
    if request.param == "local":
        filled(uri := str(tmp_path / "runs" / "registry"), tmp_path, monkeypatch)
        return uri
    filled(uri := storage.join(request.getfixturevalue("bucket"), "registry"), tmp_path, monkeypatch)
    (tmp_path / "targets.toml").write_text(
        f'[team]\nimage_prefix = "i"\ndata_root = "gs://a"\ncheckpoint_root = "gs://a"\nregistry = "{uri}"\n'
    )
    monkeypatch.chdir(tmp_path)
    return uri


def filled(root: str, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Publish each version by a run of its own, named after it."""
    for model, version, expected in (("digits", "v1", ""), ("digits", "v2", "v1"), ("letters", "v1", "")):
        monkeypatch.setenv("SUANLI_RUN", str(scratch / "runs" / f"20261128-12000{version[1]}-{model}"))
        folder = written(scratch / "versions" / model / version, f"{model} {version}")
        registry.publish(storage.join(root, model), folder, version, expected)
    monkeypatch.delenv("SUANLI_RUN")


def at(root: str, model: str = "") -> list[str]:
    """How a user names a model, or all of them: by its name here, by its target in the cloud."""
    return [*([model] if model else []), *(["--target", "team"] if storage.is_remote(root) else [])]


def document(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    capsys.readouterr()
    assert main(["registry", *arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_list_shows_how_far_each_version_is_from_the_best(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "list", storage.join(root, "digits"))
    assert [one["drift"] for one in found] == [0, 0], "they were not compared"
    champion = pointer.read(storage.join(root, "digits"))
    pointer.change(storage.join(root, "digits"), champion, "v1", "publish", "", -0.0125)
    found = {one["version"]: one["drift"] for one in document(capsys, "list", storage.join(root, "digits"))}
    assert found == pytest.approx({"v1": -0.0125, "v2": 0})
    assert main(["registry", "list", storage.join(root, "digits")]) == 0
    assert "-0.0125" in capsys.readouterr().out


def test_list_shows_every_version_and_marks_the_champions(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["registry", "list", *at(root)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[:5] if number else line for number, line in enumerate(lines)] == [
        ["model", "version", "state", "metric", "from", "best", "published", "run"],
        ["digits", "v1", "published", "accuracy", "0.5000"],
        ["digits", "v2", "champion", "accuracy", "0.5000"],
        ["letters", "v1", "champion", "accuracy", "0.5000"],
    ]
    runs = ["20261128-120001-digits", "20261128-120002-digits", "20261128-120001-letters"]
    assert [line[-1] for line in lines[1:]] == runs
    found = document(capsys, "list", storage.join(root, "letters"))
    assert [(one["model"], one["version"], one["state"], one["metrics"]["accuracy"]) for one in found] == [
        ("letters", "v1", "champion", 0.5)
    ]


def test_show_tells_of_the_champion_or_of_the_version_asked_for(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert document(capsys, "show", *at(root, "digits"))["facts"]["text"] == "digits v2"
    found = document(capsys, "show", "digits", "v1", *at(root))
    assert (found["state"], found["published"]["replaced"]) == ("published", "")
    assert main(["registry", "show", *at(root, "digits")]) == 0
    assert "v2 of digits, champion" in capsys.readouterr().out


def test_rollback_serves_the_version_before_and_can_be_undone(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["registry", "rollback", *at(root, "digits")]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "digits: the champion is v1 again, in place of v2"
    assert registry.state(storage.join(root, "digits")) == "v1"
    assert document(capsys, "rollback", *at(root, "digits"), "--to", "v2") == {
        "model": "digits",
        "champion": "v2",
        "replaced": "v1",
    }


def test_the_list_tells_what_was_rolled_back_from_and_put_back(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["registry", "rollback", *at(root, "digits")]) == 0
    assert "v2: rolled back 20" in capsys.readouterr().out
    listed = {one["version"]: one for one in document(capsys, "list", *at(root, "digits"))}
    assert (listed["v1"]["state"], listed["v2"]["state"]) == ("champion", "rolled back")
    assert listed["v2"]["note"].endswith("UTC, not published again") and not listed["v1"]["note"]
    assert main(["registry", "rollback", *at(root, "digits"), "--to", "v2"]) == 0
    capsys.readouterr()
    assert main(["registry", "list", *at(root, "digits")]) == 0
    header, first, second = capsys.readouterr().out.splitlines()
    assert header.split()[-1] == "note" and " published " in first and "rolled back" not in first
    assert " champion " in second and "rolled back 20" in second and ", put back 20" in second


def test_verify_reads_every_file_and_names_each_fault(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["registry", "verify", *at(root)]) == 0
    assert "digits: 2 published, all files intact" in capsys.readouterr().out
    if storage.is_remote(root):
        storage.write_text(storage.join(root, "digits", "versions", "v1", "model.keras"), "digits v3")
    else:
        (Path(root) / "digits" / "versions" / "v1" / "model.keras").write_text("digits v3")
    assert main(["registry", "verify", *at(root)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("digits v1: model.keras has the checksum ")
    assert lines[1:] == ["letters: 1 published, all files intact"]
    assert main(["registry", "verify", "digits", "v2", *at(root)]) == 0
    assert [len(one["faults"]) for one in document(capsys, "verify", *at(root), code=1)] == [1, 0]
    capsys.readouterr()
    assert main(["registry", "rollback", *at(root, "digits")]) == 2
    assert "error: the version v1 is damaged: model.keras has the checksum" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "digts"), "unknown model 'digts' in"),
        (("show", "digits", "v7"), "unknown version 'v7' in"),
        (("show", "digits", "v"), "2 versions begin with 'v' in"),
        (("rollback", "letters"), "no version was the champion before v1; there is nothing to roll back to"),
        (("rollback", "digits", "--to", "v2"), "v2 is the champion already"),
        (("rollback", "digits", "--from", "v1"), "the champion changed from v1 to v2 meanwhile"),
        (("verify", "digits", "v7"), "unknown version 'v7' in"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_meant_is_one_line(
    arguments: tuple[str, ...], message: str, root: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["registry", *arguments, *at(root)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {message}") and said.count("\n") == 1
    assert [registry.state(storage.join(root, name)) for name in ("digits", "letters")] == ["v2", "v1"]


def test_what_was_never_published_is_listed_as_such_and_no_fault(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    uri = storage.join(root, "letters", "versions", "v9", "model.keras")
    storage.write_text(uri, "half")
    assert [one["state"] for one in document(capsys, "list", *at(root, "letters"))] == ["champion", "unpublished"]
    assert main(["registry", "verify", *at(root, "letters")]) == 0
    assert "letters v9: never published, incomplete" in capsys.readouterr().out


def test_a_corrupt_champion_file_is_a_fault_that_verify_names(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    storage.write_text(storage.join(root, "digits", "champion.json"), "{")
    assert main(["registry", "verify", *at(root)]) == 1
    assert "champion.json is corrupt" in capsys.readouterr().out.splitlines()[0]
    assert main(["registry", "list", *at(root)]) == 0
    assert capsys.readouterr().err.startswith("warning: ")


def test_a_machine_without_models_lists_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SUANLI_RUNS", str(tmp_path))
    assert document(capsys, "list") == []
    assert main(["registry", "verify"]) == 0
    assert main(["registry", "show", "digits"]) == 2
    assert "start one with: suanli run EXPERIMENT" in capsys.readouterr().err
