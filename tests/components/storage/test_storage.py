import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from components import storage
from components.core.errors import StepError
from components.core.files import digest_of
from components.storage import cloud

NAMES = ["a.txt", "deep/empty", "deep/er/b.bin", "large.bin"]


def test_a_folder_makes_the_round_trip(folder: Path, place: str, tmp_path: Path) -> None:
    storage.upload(folder, place)
    back = storage.download(place, tmp_path / "back")
    assert storage.listing(place) == storage.listing(str(back)) == NAMES
    assert digest_of(back) == digest_of(folder)
    assert storage.is_complete(place) and storage.verify(place) == []


def test_only_the_files_asked_for_are_copied(folder: Path, place: str, tmp_path: Path) -> None:
    storage.upload(folder, place)
    back = storage.download(place, tmp_path / "back", names=["deep/er/b.bin"])
    assert storage.listing(str(back)) == ["deep/er/b.bin"]
    with pytest.raises(FileNotFoundError, match="absent"):
        storage.download(place, tmp_path / "back", names=["a.txt", "absent"])


def test_the_same_folder_is_taken_as_it_is_and_another_is_a_conflict(folder: Path, place: str, tmp_path: Path) -> None:
    storage.upload(folder, place)
    storage.upload(folder, place)
    before = digest_of(folder)
    (folder / "a.txt").write_text("b")
    with pytest.raises(StepError, match="already exists with other files") as caught:
        storage.upload(folder, place)
    assert caught.value.kind == "conflict"
    assert digest_of(storage.download(place, tmp_path / "back")) == before


def test_nothing_is_left_beside_a_local_folder(folder: Path, tmp_path: Path) -> None:
    place = str(tmp_path / "there" / "one")
    storage.upload(folder, place)
    (folder / "a.txt").write_text("b")
    with pytest.raises(StepError):
        storage.upload(folder, place)
    storage.download(place, tmp_path / "back")
    storage.remove(storage.join(str(tmp_path), "back"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["from", "there"]
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["one"]


def test_a_folder_can_be_moved_to_where_it_shall_be(folder: Path, place: str) -> None:
    storage.upload(folder, place, move=True)
    assert storage.listing(place) == NAMES and storage.verify(place) == []
    assert folder.exists() == storage.is_remote(place)


@pytest.mark.parametrize("way", ["upload", "download"])
def test_a_local_copy_with_a_changed_bit_is_refused(
    way: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that loses a bit is not to be had; the file that it would leave is."""
    place, copy = str(tmp_path / "there" / "one"), shutil.copyfile

    def lose_a_bit(source: Path, target: Path) -> None:
        copy(source, target)
        if target.name == "a.txt":
            target.write_bytes(bytes([target.read_bytes()[0] ^ 1]))

    if way == "download":
        storage.upload(folder, place)
    monkeypatch.setattr(shutil, "copyfile", lose_a_bit)
    with pytest.raises(storage.Damaged, match=r"a\.txt has the checksum"):
        storage.upload(folder, place) if way == "upload" else storage.download(place, tmp_path / "back")
    assert storage.exists(place) == (way == "download") and not list(tmp_path.glob("back/*"))


def test_a_manifest_that_another_writer_was_first_to_write_is_not_replaced(
    folder: Path, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two folders without a common name no file is in the other's way: the manifest decides."""
    place = storage.join(bucket, "first-of-two")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "theirs.txt").write_text("theirs")
    theirs, refuse = storage.Manifest.from_folder(tmp_path / "other"), cloud.refuse

    def while_ours_is_about_to_be_written(uri: str, differences: Mapping[str, str]) -> None:
        refuse(uri, differences)
        storage.write_text(storage.join(place, storage.MANIFEST), theirs.text())

    monkeypatch.setattr(cloud, "refuse", while_ours_is_about_to_be_written)
    with pytest.raises(StepError, match="already exists with other files") as caught:
        storage.upload(folder, place)
    assert caught.value.kind == "conflict" and storage.manifest(place) == theirs


def test_what_an_interrupted_upload_left_is_used_or_written_over(folder: Path, bucket: str, tmp_path: Path) -> None:
    place = storage.join(bucket, "folder")
    storage.write_text(storage.join(place, "a.txt"), "a")
    storage.write_text(storage.join(place, "deep/er/b.bin"), "the beginning")
    kept = storage.read_versioned(storage.join(place, "a.txt"))
    assert not storage.is_complete(place)
    storage.upload(folder, place)
    assert digest_of(storage.download(place, tmp_path / "back")) == digest_of(folder)
    assert storage.read_versioned(storage.join(place, "a.txt")) == kept


def _without_manifest(place: str) -> None:
    text = storage.read_text(storage.join(place, "a.txt"))
    storage.remove(place)
    storage.write_text(storage.join(place, "a.txt"), text)


def _with_a_changed_byte(place: str) -> None:
    storage.write_text(storage.join(place, "a.txt"), "b")


def _with_a_byte_more(place: str) -> None:
    storage.write_text(storage.join(place, "a.txt"), "aa")


def _with_a_file_less(place: str) -> None:
    storage.remove(storage.join(place, "deep"))


def _with_half_a_manifest(place: str) -> None:
    uri = storage.join(place, storage.MANIFEST)
    text = storage.read_text(uri)
    storage.write_text(uri, text[: len(text) // 2])


DAMAGES = {
    "no manifest": (_without_manifest, "has no manifest.json", False),
    "a changed byte": (_with_a_changed_byte, "a.txt has the checksum", True),
    "a byte more": (_with_a_byte_more, "a.txt has 2 bytes instead of 1", False),
    "a file less": (_with_a_file_less, "deep/empty is missing", False),
    "half a manifest": (_with_half_a_manifest, "manifest.json is not valid", False),
}


@pytest.mark.parametrize(("damage", "said", "whole"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_folder_is_refused_and_no_file_of_it_is_taken(
    damage: Callable[[str], None], said: str, whole: bool, folder: Path, place: str, tmp_path: Path
) -> None:
    storage.upload(folder, place)
    damage(place)
    with pytest.raises(storage.Damaged) as caught:
        storage.download(place, tmp_path / "back")
    assert said in str(caught.value) and "create it again" in str(caught.value) and caught.value.kind == "data"
    assert not list((tmp_path / "back").glob("*"))
    # Sizes only are looked at on a disk; Cloud Storage tells the checksums with them.
    assert storage.is_complete(place) == (whole and not storage.is_remote(place))
    assert said in "\n".join([*storage.verify(place), str(caught.value)]) and storage.verify(place)


def test_a_file_that_the_manifest_does_not_name_is_found(folder: Path, place: str) -> None:
    storage.upload(folder, place)
    storage.write_text(storage.join(place, "more.txt"), "more")
    assert storage.verify(place) == ["more.txt is not in the manifest"]


def test_a_damaged_folder_in_cloud_storage_is_mended_by_the_same_upload(folder: Path, bucket: str) -> None:
    place = storage.join(bucket, "folder")
    storage.upload(folder, place)
    _with_a_byte_more(place)
    storage.upload(folder, place)
    assert storage.verify(place) == []


def test_a_folder_that_others_wrote_is_copied_without_a_manifest(place: str, tmp_path: Path) -> None:
    for name in ("one", "deep/two"):
        storage.write_text(storage.join(place, name), name)
    assert storage.listing(str(storage.copy(place, tmp_path / "back"))) == ["deep/two", "one"]
    assert storage.listing(str(storage.copy(place, tmp_path / "some", ["one"]))) == ["one"]
    with pytest.raises(FileNotFoundError):
        storage.copy(place, tmp_path / "back", ["three"])
    with pytest.raises(FileNotFoundError):
        storage.copy(f"{place}-absent", tmp_path / "back")


def test_a_file_is_written_whole_and_read_back(place: str) -> None:
    uri = storage.join(place, "below", "file.json")
    storage.write_text(uri, "one")
    storage.write_text(uri, "two")
    assert storage.read_text(uri) == "two"
    assert storage.listing(place) == ["below/file.json"]


def test_of_two_writers_over_one_generation_the_second_is_refused(bucket: str) -> None:
    uri = storage.join(bucket, "champion.json")
    storage.write_text(uri, "one", generation=0)
    _, generation = storage.read_versioned(uri)
    storage.write_text(uri, "two", generation=generation)
    for stale in (0, generation):
        with pytest.raises(StepError, match="was changed meanwhile") as caught:
            storage.write_text(uri, "three", generation=stale)
        assert caught.value.kind == "conflict"
    assert storage.read_text(uri) == "two"


@pytest.mark.parametrize("name", ["absent", "absent/file"])
def test_what_is_absent_is_said_to_be(name: str, root: str, tmp_path: Path) -> None:
    uri = storage.join(root, name)
    assert not storage.exists(uri) and not storage.is_complete(uri)
    assert storage.listing(uri) == []
    storage.remove(uri)
    for call in (storage.read_text, storage.verify, lambda uri: storage.download(uri, tmp_path / "back")):
        with pytest.raises(FileNotFoundError):
            call(uri)


def test_what_is_removed_is_gone_with_all_below_it(folder: Path, place: str) -> None:
    storage.upload(folder, place)
    storage.upload(folder, f"{place}-2")
    storage.remove(place)
    assert not storage.exists(place) and storage.listing(place) == []
    assert storage.is_complete(f"{place}-2")


def test_a_folder_without_files_is_not_stored(tmp_path: Path, place: str) -> None:
    with pytest.raises(StepError, match="the folder is empty"):
        storage.upload(tmp_path, place)


@pytest.fixture
def no_bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Cloud Storage as it answers for a bucket that is not there."""

    class Absent(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"error": {"code": 404, "message": "The specified bucket does not exist."}}'
            self.send_response(404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815  # the library's name

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Absent) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
        yield
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("call", [storage.listing, lambda uri: storage.write_text(uri, "text")], ids=["read", "write"])
def test_a_refusal_of_cloud_storage_is_one_line(call: object, no_bucket: None) -> None:
    with pytest.raises(StepError, match=r"^Cloud Storage: NotFound: .*; check the bucket's name") as caught:
        call("gs://absent/place")  # type: ignore[operator]
    assert caught.value.kind == "resources" and "\n" not in str(caught.value)


@pytest.mark.parametrize("to", ["file", "folder", "nowhere"])
def test_a_link_is_not_stored(to: str, folder: Path, place: str, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_text("secret")
    target = {"file": tmp_path / "secret" / "key", "folder": tmp_path / "secret", "nowhere": tmp_path / "absent"}[to]
    (folder / "deep" / "link").symlink_to(target)
    for move in (False, True):
        with pytest.raises(StepError, match=r"deep/link: it is a link; replace it by a copy"):
            storage.upload(folder, place, move=move)
    assert not storage.exists(place)


@pytest.mark.parametrize("move", [False, True])
def test_every_file_of_a_local_folder_is_on_the_disk_before_the_folder_has_its_name(
    move: bool, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "root" / "one"
    seen, fsync = [], os.fsync

    def noted(descriptor: int) -> None:
        seen.append((Path(f"/proc/self/fd/{descriptor}").readlink().name, target.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    storage.upload(folder, str(target), move=move)
    assert {name for name, published in seen if not published} >= {
        *(Path(name).name for name in NAMES),
        *("manifest.json", "deep", "er"),
    }
    assert seen[-1] == ("root", True)


def test_a_damaged_folder_makes_room_and_keeps_its_files_on_a_local_path(folder: Path, place: str) -> None:
    storage.upload(folder, place)
    storage.set_aside(place)
    storage.set_aside(place)  # another writer was faster
    assert not storage.exists(place)
    storage.upload(folder, place)
    if not storage.is_remote(place):
        (aside,) = Path(place).parent.glob("folder.damaged-*")
        assert digest_of(aside) == digest_of(Path(place))
