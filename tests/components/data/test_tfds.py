"""Data sets of TensorFlow Datasets, without a network and by their names."""

import socketserver
import threading
from pathlib import Path

import pytest
from refusals import one_line

from components.core.errors import StepError
from components.data import fashion_mnist, tfds

# TFDS 4.9.10 reads its own description by a call that protobuf 6 deprecates.
pytestmark = pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning")
SHAPE = (8, 6, 3)


# An address that answers nobody: https://www.rfc-editor.org/rfc/rfc5737
@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tfds, "PROBE", "https://192.0.2.1")
    monkeypatch.setattr(tfds, "TIMEOUT_S", 0.2)


@pytest.mark.usefixtures("offline")
def test_without_network_the_answer_names_the_ways_to_get_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StepError) as failure:
        tfds.source(tfds.Settings(dataset="horses_or_humans", image_shape=(300, 300, 3)))
    told = one_line(failure)
    assert "horses_or_humans is not on this machine and there is no network to download it" in told
    assert "connect to the network, or copy a prepared horses_or_humans to" in told
    monkeypatch.setattr(fashion_mnist, "FOLDER", Path("/nowhere"))
    with pytest.raises(StepError, match="install Debian's package dataset-fashion-mnist"):
        fashion_mnist.source(fashion_mnist.Settings())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cifar1O", "TensorFlow Datasets has no 'cifar1O'; did you mean cifar10?"),
        ("mnist:9.9.9", "TensorFlow Datasets cannot open 'mnist:9.9.9'"),
        ("mnist/none", "TensorFlow Datasets cannot open 'mnist/none'"),
    ],
)
@pytest.mark.usefixtures("offline")
def test_an_unknown_data_set_is_one_line(name: str, message: str) -> None:
    with pytest.raises(StepError) as failure:
        tfds.source(tfds.Settings(dataset=name, image_shape=SHAPE))
    assert message in one_line(failure)


@pytest.mark.parametrize(
    ("dataset", "test", "counts", "encoded"),
    [
        ("cifar10", "test", {"train": 50_000, "test": 10_000}, False),
        ("cifar10:3.0.2", "", {"train": 50_000}, False),
        ("imagenet2012", "validation", {"train": 1_281_167, "test": 50_000}, True),
        ("coco/2017", "validation", {"train": 118_287, "test": 5_000}, True),
    ],
)
def test_well_known_data_sets_are_known_before_they_are_there(
    dataset: str, test: str, counts: dict[str, int], encoded: bool
) -> None:
    facts = tfds.facts(tfds.Settings(dataset=dataset, test=test, image_shape=(32, 32, 3)))
    assert facts is not None
    assert (facts.counts, facts.encoded) == (counts, encoded)


@pytest.mark.parametrize("changes", [{"dataset": "beans"}, {"dataset": "cifar10", "train": "train[:10%]"}], ids=str)
def test_other_data_sets_and_parts_of_splits_are_not(changes: dict[str, str]) -> None:
    assert tfds.facts(tfds.Settings(**{"image_shape": (32, 32, 3), **changes})) is None  # type: ignore[arg-type]


class Proxy(socketserver.StreamRequestHandler):
    """Answers the first line of a request, and ends."""

    answer = b""

    def handle(self) -> None:
        while self.rfile.readline().strip():
            pass
        self.wfile.write(self.answer)


@pytest.mark.parametrize(
    ("answer", "reachable", "fault"),
    [
        (b"HTTP/1.1 200 Connection established\r\n\r\n", True, ""),
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", False, "407"),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", False, "503"),
    ],
    ids=["it connects", "it wants a password", "it has no network either"],
)
@pytest.mark.usefixtures("offline")
def test_a_network_behind_a_proxy_is_asked_through_it(
    answer: bytes, reachable: bool, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Proxy, "answer", answer)
    monkeypatch.setattr(tfds, "TIMEOUT_S", 10.0)
    for name in ("no_proxy", "NO_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    with socketserver.TCPServer(("127.0.0.1", 0), Proxy) as server:
        server.timeout = 10
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{server.server_address[1]}")
        network = tfds.Network()
        assert network.reachable() == reachable
        thread.join()
    assert fault in network.fault
