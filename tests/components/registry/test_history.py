"""A champion.json that is lost or damaged, and what its history is rebuilt from."""

import json
from pathlib import Path

import pytest
from small_versions import written

from components import registry, storage
from components.core.errors import StepError
from components.registry import contents, history, pointer, publishing
from pipelines.cli.main import main

DAMAGE = {
    "emptied": "",
    "cut": '{"version": "v',
    "another file": '{"what": "is this"}',
    "not a text": None,
}


@pytest.fixture(params=["local", "cloud"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Three published versions, and a rollback from the last: v2 is the champion."""
    root = str(tmp_path / "root") if request.param == "local" else str(request.getfixturevalue("bucket"))
    uri = storage.join(root, "model")
    for number, before in ((1, ""), (2, "v1"), (3, "v2")):
        registry.publish(uri, written(tmp_path / f"{number}", f"v{number}"), f"v{number}", before)
    assert publishing.rollback(uri) == ("v3", "v2")
    return uri


def damage(model: str, text: str | None) -> None:
    uri = storage.join(model, "champion.json")
    if text is not None:
        storage.write_text(uri, text)
    elif storage.is_remote(model):
        from components.storage.client import bucket_and_name

        bucket, name = bucket_and_name(uri)
        bucket.blob(name).upload_from_string(b"\xff\xfe\x00")
    else:
        Path(uri).write_bytes(b"\xff\xfe\x00")


def forget(model: str) -> None:
    """Leave a registry as older code did: without files of its changes."""
    storage.remove(storage.join(model, "history"))


@pytest.mark.parametrize("text", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_champion_file_loses_nothing(
    text: str | None, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = pointer.read(model)
    damage(model, text)
    assert pointer.read(model).history == before.history and registry.state(model) == "v2"
    champion = registry.champion(model)
    assert champion and champion.id == "v2"
    assert main(["registry", "list", model]) == 0
    printed = capsys.readouterr()
    states = {line.split()[1]: " ".join(line.split()[2:4]) for line in printed.out.splitlines()[1:]}
    assert states == {"v1": "published accuracy", "v2": "champion accuracy", "v3": "rolled back"}
    assert printed.err.count("\n") == 1 and "champion.json is corrupt; rebuilt from its history: v2" in printed.err
    assert main(["registry", "verify", model]) == 1
    assert "champion.json is corrupt" in capsys.readouterr().out
    # Whoever publishes next writes it again, and so does a rollback to the present champion.
    registry.publish(model, written(tmp_path / "four", "v4"), "v4", "v2")
    assert main(["registry", "verify", model]) == 0
    assert [entry.version for entry in pointer.read(model).history] == ["v1", "v2", "v3", "v2", "v4"]


def test_a_champion_file_that_is_gone_is_written_again_by_a_rollback_to_the_champion(model: str) -> None:
    before = pointer.read(model)
    if storage.is_remote(model):
        from components.storage.client import bucket_and_name

        bucket, name = bucket_and_name(storage.join(model, "champion.json"))
        bucket.blob(name).delete()
    else:
        Path(model, "champion.json").unlink()
    assert registry.state(model) == "v2"
    assert contents.verify(model).faults == [f"model: {model}/champion.json is missing"]
    assert main(["registry", "rollback", model, "--to", "v2"]) == 0
    assert pointer.read(model).history == before.history and contents.verify(model).faults == []


def test_an_emptied_file_of_a_change_still_tells_it_by_its_name(model: str) -> None:
    (name,) = [name for name in storage.listing(storage.join(model, "history")) if name.startswith("000003")]
    storage.write_text(storage.join(model, "history", name), "")
    damage(model, "")
    rebuilt = pointer.read(model).history
    assert [(entry.version, entry.by, entry.replaced) for entry in rebuilt] == [
        ("v1", "publish", ""),
        ("v2", "publish", "v1"),
        ("v3", "publish", "v2"),
        ("v2", "rollback", "v3"),
    ]
    assert rebuilt[1].time and not rebuilt[2].time


def test_a_registry_of_older_code_gets_the_files_of_all_its_changes_with_the_next(model: str, tmp_path: Path) -> None:
    forget(model)
    registry.publish(model, written(tmp_path / "four", "v4"), "v4", "v2")
    damage(model, "")
    assert [entry.version for entry in pointer.read(model).history] == ["v1", "v2", "v3", "v2", "v4"]


def test_without_a_history_nobody_guesses_the_champion_and_a_rollback_names_it(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    forget(model)
    damage(model, "")
    with pytest.raises(StepError, match=r"champion\.json is corrupt.*name the champion"):
        registry.state(model)
    assert main(["registry", "list", model, "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {one["version"]: one["state"] for one in listed} == dict.fromkeys(("v1", "v2", "v3"), "unpublished")
    assert main(["registry", "rollback", model, "--to", "v2"]) == 0
    assert registry.state(model) == "v2" and contents.verify(model).faults == []


def test_the_only_version_is_the_champion_without_a_history(tmp_path: Path) -> None:
    uri = str(tmp_path / "model")
    registry.publish(uri, written(tmp_path / "one", "v1"), "v1", "")
    forget(uri)
    damage(uri, "")
    assert registry.state(uri) == "v1"


@pytest.mark.parametrize(
    ("changes", "lineage", "withdrawn", "restored"),
    [
        ("+1", "1", "", ""),
        ("+1 +2 +3", "1 2 3", "", ""),
        ("+1 +2 +3 -2", "1 2", "3", ""),
        ("+1 +2 +3 -2 -1", "1", "2 3", ""),
        ("+1 +2 +3 -1", "1", "2 3", ""),
        ("+1 +2 +3 -2 +4", "1 2 4", "3", ""),
        ("+1 +2 -1 -2", "1 2", "", "2"),
        ("+1 +2 +1", "1 2 1", "", ""),
        ("+1 +2 +1 +3 -1", "1 2 1", "3", ""),
        ("+1 +2 -1 +3 -2", "1 3 2", "", "2"),
        ("+1 +1 +2", "1 2", "", ""),
        ("+1 +2 -1 -2 -1", "1", "2", "2"),
    ],
)
def test_a_rollback_goes_back_along_what_was_published(
    changes: str, lineage: str, withdrawn: str, restored: str
) -> None:
    kinds = {"+": "publish", "-": "rollback"}
    result = history.succession(
        [history.Entry(version=f"v{change[1]}", by=kinds[change[0]]) for change in changes.split()]
    )
    assert result.lineage == [f"v{number}" for number in lineage.split()]
    assert sorted(result.withdrawn) == [f"v{number}" for number in withdrawn.split()]
    assert sorted(result.restored) == [f"v{number}" for number in restored.split()]
