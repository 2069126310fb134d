"""Properties of the manifest: what was written is read back, and whatever changes is found."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from components import storage
from components.core.errors import StepError
from components.storage.manifest import MANIFEST, Damaged, File, Manifest, encode_checksum

# Names as a file system may have them: any text but the separator, the parent's name and what cannot be a file's name.
PART = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20).filter(
    lambda part: part not in {".", ".."} and len(part.encode()) < 200
)
NAMES = st.lists(PART, min_size=1, max_size=3).map("/".join).filter(lambda name: name != MANIFEST)
FILES = st.builds(File, st.integers(0, 2**63), st.integers(0, 2**32 - 1).map(encode_checksum))
MANIFESTS = st.dictionaries(NAMES, FILES, max_size=6).map(Manifest)
FOLDERS = st.dictionaries(NAMES, st.binary(max_size=64), min_size=1, max_size=5).filter(
    # A file cannot lie below a file.
    lambda files: not any(other.startswith(f"{name}/") for name in files for other in files)
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
# A temporary folder serves all examples of a test: each has a place of its own in it.
own_place = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def laid(root: Path, files: dict[str, bytes]) -> Path:
    number = len(list(root.iterdir()))
    for name, content in files.items():
        path = root / str(number) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root / str(number)


@given(MANIFESTS)
def test_a_manifest_makes_the_round_trip(manifest: Manifest) -> None:
    assert Manifest.parse(manifest.text(), "gs://bucket/folder") == manifest


@given(FILES, st.data())
def test_the_order_of_files_does_not_matter(file: File, data: st.DataObject) -> None:
    names = data.draw(st.lists(NAMES, unique=True, max_size=5))
    assert Manifest(dict.fromkeys(names, file)).text() == Manifest(dict.fromkeys(reversed(names), file)).text()


@given(MANIFESTS.filter(lambda manifest: manifest.files), st.data())
def test_a_manifest_with_one_changed_byte_is_refused_or_says_the_same(manifest: Manifest, data: st.DataObject) -> None:
    text = manifest.text().encode()
    place = data.draw(st.integers(0, len(text) - 1))
    changed = (
        text[:place]
        + bytes([data.draw(st.integers(0, 255).filter(lambda new: new != text[place]))])
        + text[place + 1 :]
    )
    try:
        parsed = Manifest.parse(changed.decode(errors="strict"), "gs://bucket/folder")
    except (Damaged, UnicodeDecodeError):
        return
    assert parsed == manifest  # a space more in the layout


@given(MANIFESTS.filter(lambda manifest: manifest.files), st.data())
def test_half_a_manifest_is_refused(manifest: Manifest, data: st.DataObject) -> None:
    text = manifest.text().rstrip()
    with pytest.raises(Damaged):
        Manifest.parse(text[: data.draw(st.integers(0, len(text) - 1))], "gs://bucket/folder")


@given(JSON)
@example(None)
@example({"format": 1, "digest": "", "files": {"a": 1}})
def test_any_other_json_is_refused(value: Any) -> None:
    with pytest.raises(Damaged, match=r"manifest\.json is not valid"):
        Manifest.parse(json.dumps(value), "gs://bucket/folder")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "9" * 10_000, "\0", "NaN", ""])
def test_a_text_that_no_parser_likes_is_refused(text: str) -> None:
    with pytest.raises(Damaged):
        Manifest.parse(text, "gs://bucket/folder")


@pytest.mark.parametrize("name", ["../out", "/etc/passwd", "a/../../b", "a//b", "", ".", "a/", "nul\0", MANIFEST])
def test_a_name_that_leads_out_of_the_folder_is_refused_whatever_its_digest(name: str) -> None:
    with pytest.raises(Damaged):
        Manifest.parse(Manifest({name: File(1, "AAAAAA==")}).text(), "gs://bucket/folder")


@own_place
@given(FOLDERS)
def test_a_folder_comes_back_as_it_was(tmp_path: Path, files: dict[str, bytes]) -> None:
    folder = laid(tmp_path, files)
    storage.upload(folder, f"{folder}-there")
    back = storage.download(f"{folder}-there", Path(f"{folder}-back"))
    assert {str(path.relative_to(back)): path.read_bytes() for path in back.rglob("*") if path.is_file()} == files


@own_place
@given(FOLDERS, st.data())
def test_any_changed_byte_size_or_name_is_found(tmp_path: Path, files: dict[str, bytes], data: st.DataObject) -> None:
    folder = laid(tmp_path, files)
    there = Path(f"{folder}-there")
    storage.upload(folder, str(there))
    name = data.draw(st.sampled_from(sorted(files)))
    path, content = there / name, files[name]
    change = data.draw(st.sampled_from(["byte", "size", "name", "gone"]))
    if change == "byte":
        assume(content)
        place = data.draw(st.integers(0, len(content) - 1))
        path.write_bytes(
            content[:place] + bytes([content[place] ^ data.draw(st.integers(1, 255))]) + content[place + 1 :]
        )
    elif change == "size":
        path.write_bytes(data.draw(st.binary(max_size=80).filter(lambda new: len(new) != len(content))))
    elif change == "name":
        path.rename(path.with_name(data.draw(PART.filter(lambda part: not path.with_name(part).exists()))))
    else:
        path.unlink()
    assert [fault for fault in storage.verify(str(there)) if fault.startswith(name)]
    assert storage.is_complete(str(there)) == (change == "byte")
    with pytest.raises(storage.Damaged):
        storage.download(str(there), Path(f"{folder}-back"))
    assert not [path for path in Path(f"{folder}-back").rglob("*") if path.is_file()]


def test_a_folder_that_has_a_manifest_of_its_own_below_keeps_it(tmp_path: Path) -> None:
    folder = laid(tmp_path, {"a": b"a", f"below/{MANIFEST}": b"theirs"})
    storage.upload(folder, f"{folder}-there")
    back = storage.download(f"{folder}-there", tmp_path / "back")
    assert (back / "below" / MANIFEST).read_bytes() == b"theirs"


def test_a_fault_is_one_line_that_counts_the_others(tmp_path: Path) -> None:
    folder = laid(tmp_path, dict.fromkeys("abc", b"x"))
    storage.upload(folder, f"{folder}-there")
    for name in "abc":
        Path(f"{folder}-there", name).write_bytes(b"longer")
    with pytest.raises(StepError, match=r"is damaged: a has 6 bytes instead of 1, and 2 more; remove the folder"):
        storage.require(f"{folder}-there", ["a", "b", "c"])
