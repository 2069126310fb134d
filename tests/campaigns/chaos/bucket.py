"""A bucket of Cloud Storage on this machine, and the address at which every fault of a network befalls its users."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

SUPPORT = Path(__file__).resolve().parents[2] / "support"
# The emulator's script makes this bucket.
PLACE = "gs://test-bucket"
VARIABLE = "STORAGE_EMULATOR_HOST"


@dataclass
class Opened:
    """A bucket at work.

    Attributes:
        url: the emulator's address.
        faulty: the address at which requests go wrong; the same where no faults are wanted.
        counts: fault -> how often it was done; filled when the bucket closes.
    """

    url: str
    faulty: str
    counts: dict[str, int] = field(default_factory=dict)


@contextmanager
def opened(seed: int, faults: bool) -> Iterator[Opened]:
    """An emulator with a bucket, and a proxy before it where faults are wanted; gone afterwards.

    Args:
        seed: draws the faults.
    """
    with _script("storage_emulator.py") as (_emulator, url):
        if not faults:
            yield Opened(url, url)
            return
        with _script("faulty_proxy.py", url, "--seed", str(seed)) as (proxy, faulty):
            bucket = Opened(url, faulty)
            yield bucket
            bucket.counts.update(json.loads(proxy.communicate()[0]))


@contextmanager
def _script(name: str, *arguments: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A server of the tests that tells its address first and ends when its stdin does."""
    process = subprocess.Popen(
        [sys.executable, str(SUPPORT / name), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        if not (url := process.stdout.readline().strip()):
            raise RuntimeError(f"{name} did not start")
        yield process, url
    finally:
        if process.poll() is None:
            process.communicate()
