import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from components.core import storage
from components.core.errors import StepError
from components.core.files import digest_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "from" / "deep").mkdir(parents=True)
    (tmp_path / "from" / "a.txt").write_text("a")
    (tmp_path / "from" / "deep" / "b.txt").write_text("b")
    return tmp_path / "from"


def test_a_folder_makes_the_round_trip(folder: Path, tmp_path: Path) -> None:
    storage.upload(folder, str(tmp_path / "there"))
    back = storage.download(str(tmp_path / "there"), tmp_path / "back")
    assert storage.listing(str(back)) == ["a.txt", "deep/b.txt"]
    assert digest_of(back) == digest_of(folder)


def test_only_the_files_asked_for_are_copied(folder: Path, tmp_path: Path) -> None:
    back = storage.download(str(folder), tmp_path / "back", names=["deep/b.txt"])
    assert storage.listing(str(back)) == ["deep/b.txt"]


def test_a_folder_that_is_there_is_not_overwritten_and_nothing_is_left_beside_it(folder: Path, tmp_path: Path) -> None:
    storage.upload(folder, str(tmp_path / "there"))
    with pytest.raises(OSError, match="not empty"):
        storage.upload(folder, str(tmp_path / "there"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["from", "there"]


def test_a_file_is_written_whole_and_read_back(tmp_path: Path) -> None:
    uri = storage.join(str(tmp_path), "below", "file.json")
    storage.write_text(uri, "one")
    storage.write_text(uri, "two")
    assert storage.read_text(uri) == "two"
    assert storage.listing(str(tmp_path)) == ["below/file.json"]


@pytest.mark.parametrize("name", ["absent", "absent/file"])
def test_what_is_absent_is_said_to_be(name: str, tmp_path: Path) -> None:
    uri = storage.join(str(tmp_path), name)
    assert not storage.exists(uri)
    assert storage.listing(uri) == []
    storage.remove(uri)
    with pytest.raises(FileNotFoundError):
        storage.read_text(uri)
    with pytest.raises(FileNotFoundError):
        storage.download(uri, tmp_path / "back")


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


# Google's library warns of a package that only its gRPC half needs.
@pytest.mark.filterwarnings("ignore:Please install grpcio-status:ImportWarning")
@pytest.mark.parametrize("call", [storage.listing, lambda uri: storage.write_text(uri, "text")], ids=["read", "write"])
def test_a_refusal_of_cloud_storage_is_one_line(call: object, no_bucket: None) -> None:
    with pytest.raises(StepError, match=r"^Cloud Storage: NotFound: .*; check the bucket's name") as caught:
        call("gs://absent/place")  # type: ignore[operator]
    assert caught.value.kind == "resources" and "\n" not in str(caught.value)
