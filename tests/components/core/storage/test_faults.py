"""Folders and files through a proxy that does what networks do. Every fault is looked for in what the proxy did."""

from pathlib import Path

import pytest
from faulty_proxy import BAD_DAY, Faults, Proxy

from components.core import storage
from components.core.files import digest_of
from components.core.storage import patience

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
    monkeypatch.setattr(patience, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(patience, "LONGEST_WAIT", 0.2)


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3))])
@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
def test_every_byte_arrives_in_spite_of(
    faults: Faults, seed: int, folder: Path, proxy: Proxy, bucket: str, tmp_path: Path
) -> None:
    proxy.random.seed(seed)
    proxy.faults = faults
    place = storage.join(bucket, "folder")
    storage.upload(folder, place)
    assert storage.whole(place) and storage.verify(place) == []
    for number in range(3):
        back = storage.download(place, tmp_path / f"back-{number}")
        assert digest_of(back) == digest_of(folder)
    storage.remove(place)
    assert storage.listing(place) == []
    assert proxy.counts.total()
