"""Folders into Cloud Storage and back, MB/s: our transfers beside one plain client that does one file after the other.

Both talk to the same emulator on this machine, without latency and with 5 ms a request by a proxy that only waits. All
share the processors, so the ratio counts, not the speed.
"""

import contextlib
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks._rows import row

ROOT = Path(__file__).resolve().parents[1]
MANY, MIDDLE, LARGE = 50, 2 * 10**6, 100 * 10**6
REPEATS = 3
LATENCY_S = 0.005


def main() -> None:
    """Print a table: many files of middle size, and one large one."""
    sys.path.insert(0, str(ROOT / "tests/support"))
    import storage_emulator

    with tempfile.TemporaryDirectory() as place, storage_emulator.running() as emulator:
        folders = {
            f"{MANY} files of {MIDDLE // 10**6} MB": _laid(Path(place) / "many", MANY, MIDDLE),
            f"1 file of {LARGE // 10**6} MB": _laid(Path(place) / "large", 1, LARGE),
        }
        row("", "ours, MB/s", "plain, MB/s", f"ratio, median of {REPEATS} with quartiles")
        for latency in (0.0, LATENCY_S):
            with _behind(emulator.url, latency) as url:
                os.environ["STORAGE_EMULATOR_HOST"] = url
                for number, (what, folder) in enumerate(folders.items()):
                    bucket = emulator.create_bucket(f"bench-{number}-{int(latency * 1000)}")
                    _compare(f"{what}, {latency * 1000:.0f} ms", folder, bucket, Path(place) / "back")


def _laid(folder: Path, count: int, size: int) -> Path:
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:03d}.bin").write_bytes(random.Random(number).randbytes(size))
    return folder


@contextlib.contextmanager
def _behind(url: str, latency: float) -> Iterator[str]:
    import faulty_proxy

    if not latency:
        yield url
        return
    with faulty_proxy.running(url, seed=0, latency=latency) as proxy:
        yield proxy.url


def _compare(what: str, folder: Path, bucket: str, back: Path) -> None:
    from components import storage

    size = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    speeds: dict[str, list[tuple[float, float]]] = {"upload": [], "download": []}
    for number in range(REPEATS + 1):
        ours, plain = f"{bucket}/ours-{number}", f"{bucket}/plain-{number}"
        calls: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
            "upload": (lambda: storage.upload(folder, ours), lambda: _plain_upload(folder, plain)),  # noqa: B023
            "download": (lambda: storage.download(ours, back), lambda: _plain_download(plain, back)),  # noqa: B023
        }
        for name, pair in calls.items():
            measured = []
            # Who comes first takes turns.
            for call in pair if number % 2 else reversed(pair):
                shutil.rmtree(back, ignore_errors=True)
                began = time.perf_counter()
                call()
                measured.append(size / (time.perf_counter() - began))
            if number:  # the first round warms up
                speeds[name].append((measured[0], measured[1]) if number % 2 else (measured[1], measured[0]))
        for uri in (ours, plain):
            storage.remove(uri)
    for name, pairs in speeds.items():
        ratios = sorted(ours / plain for ours, plain in pairs)
        low, _, high = statistics.quantiles(ratios, n=4)
        mine, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = f"{statistics.median(ratios):.2f} ({low:.2f} to {high:.2f})"
        row(f"{name}, {what}", f"{mine:.0f}", f"{theirs:.0f}", ratio)


def _plain_upload(folder: Path, uri: str) -> None:
    """What a user writes first: Google's client, one file after the other, with its own check of the checksums."""
    bucket, prefix = _bucket(uri)
    for file in sorted(folder.iterdir()):
        bucket.blob(f"{prefix}/{file.name}").upload_from_filename(str(file))


def _plain_download(uri: str, back: Path) -> None:
    bucket, prefix = _bucket(uri)
    back.mkdir()
    for blob in bucket.list_blobs(prefix=f"{prefix}/"):
        blob.download_to_filename(str(back / Path(blob.name).name))


def _bucket(uri: str):  # type: ignore[no-untyped-def]
    from google.cloud import storage

    name, _, prefix = uri.removeprefix("gs://").partition("/")
    return storage.Client.create_anonymous_client().bucket(name), prefix
