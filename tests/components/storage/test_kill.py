"""A process that is killed amid an upload: nobody reads what it left, and the same upload again succeeds."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from faulty_proxy import Faults, Proxy

from components import storage
from components.core.files import digest_of

UPLOAD = """
import sys
from pathlib import Path
from components import storage
print("ready", flush=True)
sys.stdin.readline()
storage.upload(Path(sys.argv[1]), sys.argv[2])
print("done", flush=True)
"""


def started(folder: Path, place: str) -> subprocess.Popen[str]:
    """A process that is about to upload a folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", UPLOAD, str(folder), place],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    assert process.stdout and process.stdin and process.stdout.readline() == "ready\n"
    process.stdin.write("go\n")
    process.stdin.flush()
    return process


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Thirty files, one of them large: about a second of uploading through the slow proxy, half of one to a disk."""
    content = np.random.default_rng(1)
    (tmp_path / "many").mkdir()
    for number in range(30):
        (tmp_path / "many" / f"{number}.bin").write_bytes(content.bytes(60 << 20 if number == 7 else 1 << 18))
    return tmp_path / "many"


@pytest.mark.slow
@pytest.mark.parametrize("where", ["local", "cloud"])
def test_a_kill_amid_an_upload_leaves_nothing_that_is_taken_for_whole(
    where: str, many: Path, proxy: Proxy, bucket: str, tmp_path: Path
) -> None:
    proxy.faults = Faults(slow=0.3, drop=0.1)
    seed = 20261128
    print(f"seed {seed}")
    moments, before = random.Random(seed), digest_of(many)
    root = bucket if where == "cloud" else str(tmp_path / "root")
    amid = 0
    for number in range(8):
        place = storage.join(root, f"folder-{number}")
        with started(many, place) as process:
            time.sleep(moments.uniform(0, 2.0 if where == "cloud" else 0.25))
            process.send_signal(signal.SIGKILL)
            ended = "done" in process.communicate()[0]
        whole = storage.is_complete(place)
        assert whole or not ended
        if not whole:
            amid += (
                bool(storage.listing(place)) if where == "cloud" else bool(list(Path(root).glob(f".folder-{number}*")))
            )
            with pytest.raises((storage.Damaged, FileNotFoundError)):
                storage.download(place, tmp_path / "back")
        storage.upload(many, place)
        assert storage.verify(place) == []
        assert digest_of(storage.download(place, tmp_path / f"back-{number}")) == before
    assert amid, "no kill fell amid an upload"


def both(place: str, one: Path, other: Path) -> list[bool]:
    """Whether each of two writers at once succeeded."""
    writers = [started(source, place) for source in (one, other)]
    return [writer.communicate()[0].endswith("done\n") for writer in writers]


def test_two_writers_of_one_folder_at_once_both_succeed(folder: Path, proxy: Proxy, bucket: str) -> None:
    proxy.faults = Faults(slow=0.5)
    place = storage.join(bucket, "folder")
    assert both(place, folder, folder) == [True, True]
    assert storage.verify(place) == []


def test_of_writers_of_two_folders_at_once_one_at_most_succeeds_and_no_mixture_is_read(
    folder: Path, proxy: Proxy, bucket: str, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    for name in storage.listing(str(folder)):
        (other / name).parent.mkdir(parents=True, exist_ok=True)
        (other / name).write_bytes((folder / name).read_bytes() + b"more")
    proxy.faults = Faults(slow=0.5)
    place = storage.join(bucket, "folder")
    ended = both(place, folder, other)
    assert not all(ended)
    if storage.is_complete(place):
        back = storage.download(place, tmp_path / "back")
        assert digest_of(back) == digest_of((folder, other)[ended.index(True)])
    else:
        with pytest.raises(storage.Damaged):
            storage.download(place, tmp_path / "back")
    storage.remove(place)
    storage.upload(folder, place)
    assert storage.verify(place) == []
