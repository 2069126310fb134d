"""A version against what it says of itself and what was published, as git fsck checks its objects."""

import hashlib
import json
from pathlib import Path

import pytest
from small_versions import written

from components import registry, storage
from components.core.errors import StepError
from components.registry import contents, publishing, versions


@pytest.fixture(params=["local", "cloud"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "root") if request.param == "local" else str(request.getfixturevalue("bucket"))


def derived(folder: Path, text: str, accuracy: float = 0.9) -> tuple[Path, str]:
    """A version's folder with the digest of its model, and its id."""
    written(folder, text)
    described = json.loads((folder / "version.json").read_text())
    described |= {"metrics": {"accuracy": accuracy}, "fingerprints": {"model.keras": digest(folder / "model.keras")}}
    (folder / "version.json").write_text(json.dumps(described))
    return folder, registry.version_id(described)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def forged(folder: Path, how: str) -> None:
    """Another content for a version."""
    described = json.loads((folder / "version.json").read_text())
    match how:
        case "another model":
            (folder / "model.keras").write_text("evil")
        case "another model and its digest":
            (folder / "model.keras").write_text("evil")
            described["fingerprints"]["model.keras"] = digest(folder / "model.keras")
        case "no digest":
            (folder / "model.keras").write_text("evil")
            del described["fingerprints"]
        case "better metrics":
            described["metrics"]["accuracy"] = 1.0
        case "another format":
            (folder / "formats" / "model.tflite").write_text("evil for a phone")
    (folder / "version.json").write_text(json.dumps(described))


@pytest.mark.parametrize(
    ("how", "fault"),
    [
        ("another model", "model.keras has the digest "),
        ("another model and its digest", "version.json describes the version "),
        ("no digest", "version.json describes the version "),
        ("better metrics", "version.json describes the version "),
        ("another format", "its manifest has the digest "),
    ],
)
@pytest.mark.parametrize("known", [True, False], ids=["published by this code", "by older code"])
def test_content_that_was_exchanged_together_with_its_manifest_is_found(
    how: str, fault: str, known: bool, root: str, tmp_path: Path
) -> None:
    uri = storage.join(root, "model")
    first, before = derived(tmp_path / "first", "first")
    second, version = derived(tmp_path / "second", "second")
    registry.publish(uri, first, before, "")
    registry.publish(uri, second, version, before)
    assert contents.verify(uri).faults == []
    if not known:
        # Older code did not record the manifest's digest, and a format's bytes are in the manifest alone.
        pointer = storage.join(uri, "champion.json")
        file = json.loads(storage.read_text(pointer))
        file["history"] = [{**entry, "manifest": ""} for entry in file["history"]]
        storage.write_text(pointer, json.dumps(file))
    forged(second, how)
    storage.remove(registry.version_uri(uri, version))
    storage.upload(second, registry.version_uri(uri, version))
    assert storage.verify(registry.version_uri(uri, version)) == []
    found = contents.verify(uri).faults
    if known:
        assert len(found) == 1 and found[0].startswith(f"model {version}: its manifest has the digest ")
    elif how == "another format":
        assert found == []
        return
    else:
        assert len(found) == 1 and found[0].startswith(f"model {version}: {fault}")
    with pytest.raises(StepError, match=f"the champion {version} is damaged: "):
        registry.champion(uri)
    publishing.rollback(uri)
    with pytest.raises(StepError, match=f"the version {version} is damaged: "):
        publishing.rollback(uri, version)


def test_a_damaged_champion_that_is_written_again_with_other_measurements_is_intact(root: str, tmp_path: Path) -> None:
    uri = storage.join(root, "model")
    registry.publish(uri, written(tmp_path / "one", "one", measured=1), "v1", "")
    storage.write_text(storage.join(registry.version_uri(uri, "v1"), "model.keras"), "two")
    registry.publish(uri, written(tmp_path / "again", "one", measured=2), "v1", "")
    assert contents.verify(uri).faults == []
    with pytest.raises(StepError, match="no version was the champion before v1"):
        publishing.rollback(uri)


@pytest.mark.parametrize("where", ["versions", "copied"])
def test_a_version_s_folder_is_checked_wherever_it_lies(where: str, tmp_path: Path) -> None:
    folder, version = derived(tmp_path / where / "name", "one")
    folder = folder.rename(folder.with_name(version))
    manifest = folder / storage.MANIFEST
    manifest.write_text(storage.Manifest.from_folder(folder).text())
    versions.require_intact(folder)
    (folder / "formats" / "model.tflite").write_text("evil")
    with pytest.raises(StepError, match=r"is damaged: formats/model\.tflite has "):
        versions.require_intact(folder)
    manifest.unlink()
    if where == "versions":
        with pytest.raises(StepError, match=r"is damaged: .* has no manifest\.json"):
            versions.require_intact(folder)
    else:
        versions.require_intact(folder)  # what was downloaded has been compared, and has none
        (folder / "model.keras").write_text("evil")
        with pytest.raises(StepError, match=r"is damaged: model\.keras has the digest"):
            versions.require_intact(folder)


def test_a_link_in_place_of_the_lock_is_refused_and_what_it_leads_to_is_untouched(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / ".lock").symlink_to(victim)
    with pytest.raises(StepError, match=r"\.lock is a link, a file to lock was expected; remove it"):
        registry.publish(str(tmp_path / "model"), written(tmp_path / "one", "one"), "v1", "")
    assert victim.read_text() == "precious" and not (tmp_path / "model" / "champion.json").exists()
