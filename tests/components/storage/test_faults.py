"""Folders and files through a proxy that does what networks do. Every fault is looked for in what the proxy did."""

import random
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from faulty_proxy import BAD_DAY, Faults, Proxy

from components import storage
from components.core.errors import StepError
from components.core.files import digest_of
from components.storage import client

FAULTS = {
    "connections that break amid a body": Faults(drop=0.3),
    "answers that are lost": Faults(lost=0.3),
    "bursts of 503": Faults(unavailable=0.2),
    "429": Faults(too_many=0.4),
    "slow bodies": Faults(slow=0.3),
    "bodies that are cut": Faults(truncated=0.3),
    "changed bytes": Faults(garbled=0.2),
    "all of them": BAD_DAY,
}


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(client, "LONGEST_PAUSE_S", 0.2)


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3))])
@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
def test_every_byte_arrives_in_spite_of(
    faults: Faults, seed: int, folder: Path, proxy: Proxy, bucket: str, tmp_path: Path
) -> None:
    proxy.random.seed(seed)
    proxy.faults = faults
    place = storage.join(bucket, "folder")
    storage.upload(folder, place)
    assert storage.is_complete(place) and storage.verify(place) == []
    for number in range(3):
        back = storage.download(place, tmp_path / f"back-{number}")
        assert digest_of(back) == digest_of(folder)
    storage.remove(place)
    assert storage.listing(place) == []
    assert proxy.counts.total()


def test_a_large_upload_goes_on_where_it_broke(proxy: Proxy, bucket: str, tmp_path: Path) -> None:
    content = np.random.default_rng(3).bytes(40 << 20)
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "large").write_bytes(content)
    proxy.random.seed(2)
    proxy.faults = Faults(drop=0.5)
    storage.upload(tmp_path / "one", storage.join(bucket, "one"))
    assert proxy.counts["drop"] >= 2
    assert len(proxy.sessions) == 1, "one session served to the end"
    assert sum(session.arrived for session in proxy.sessions.values()) == len(content)
    proxy.faults = Faults()
    assert storage.verify(storage.join(bucket, "one")) == []


def test_a_network_that_stays_broken_ends_in_one_line_when_patience_does(
    folder: Path, proxy: Proxy, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUANLI_STORAGE_PATIENCE", "1.5")
    proxy.faults = Faults(unavailable=1.0)
    began = time.monotonic()
    for call in (storage.listing, storage.read_text, lambda uri: storage.upload(folder, uri)):
        with pytest.raises(StepError, match=r"^Cloud Storage: .*not now") as caught:
            call(storage.join(bucket, "folder"))
        assert caught.value.kind == "resources" and "\n" not in str(caught.value)
    assert time.monotonic() - began < 10


def test_an_answer_that_would_stay_the_same_is_not_asked_for_again(proxy: Proxy) -> None:
    with pytest.raises(StepError, match="NotFound"):
        storage.listing("gs://absent-bucket/place")
    assert proxy.requests == 1


def test_a_write_whose_answer_was_lost_is_no_conflict_with_itself(proxy: Proxy, bucket: str) -> None:
    proxy.random.seed(4)
    proxy.faults = Faults(lost=0.5)
    for number in range(12):
        uri = storage.join(bucket, f"{number}.json")
        storage.write_text(uri, f"text {number}", generation=0)
        assert storage.read_text(uri) == f"text {number}"
    assert proxy.counts["lost"] > 5


def test_a_faulty_network_draws_nothing_from_the_global_generators(
    folder: Path, proxy: Proxy, bucket: str, tmp_path: Path
) -> None:
    random.seed(7)
    np.random.seed(7)
    before, numpy_before = random.getstate(), np.random.get_state()[1].tobytes()
    proxy.faults = BAD_DAY
    place = storage.join(bucket, "folder")
    storage.upload(folder, place)
    storage.download(place, tmp_path / "back")
    storage.write_text(storage.join(bucket, "one.json"), "{}")
    storage.exists(place)
    storage.remove(place)
    assert proxy.counts.total()
    assert random.getstate() == before and np.random.get_state()[1].tobytes() == numpy_before


def test_the_server_is_given_the_time_that_it_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class BusyError(Exception):
        code = 503

        class response:  # noqa: N801  # the library's name
            headers: ClassVar = {"Retry-After": "0.3"}

    answers = iter([BusyError(), BusyError(), "done"])

    def request() -> str:
        answer = next(answers)
        if isinstance(answer, BusyError):
            raise answer
        return answer

    monkeypatch.setattr(client, "LONGEST_PAUSE_S", 5)
    began = time.monotonic()
    assert client.retry()(request)() == "done"
    assert time.monotonic() - began >= 0.6
