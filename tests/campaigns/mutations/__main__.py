"""Break one important line at a time and see whether its tests notice: ``python -m tests.campaigns.mutations``.

Every mutation of the table is made in a copy of the checkout, whose tests must pass before. It ends with 1 if one
survives, or cannot be made because its line is no longer there.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from tests.campaigns.mutations.table import MUTATIONS, Mutation

ROOT = Path(__file__).resolve().parents[3]
PASSED = 0
# What pytest ends with if tests fail, or if a file with tests cannot be imported.
NOTICED = (1, 2)


def main(arguments: list[str] | None = None) -> int:
    """Try the mutations; 0 if each is noticed."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.mutations", description=__doc__)
    parser.add_argument("words", nargs="*", help="only mutations whose file or line has one of these words")
    parser.add_argument("--list", action="store_true", help="print them, and run nothing")
    parser.add_argument("--green", action="store_true", help="the tests are known to pass: do not try them first")
    chosen = parser.parse_args(arguments)
    wanted = [one for one in MUTATIONS if not chosen.words or any(word in str(one) for word in chosen.words)]
    if chosen.list:
        print("\n".join(map(str, wanted)))
        return 0
    began, faults = time.monotonic(), []
    with copy_of_checkout() as copy:
        for number, mutation in enumerate(wanted, 1):
            outcome = tried(copy, mutation, green=chosen.green)
            print(f"{number}/{len(wanted)} {outcome:9} {mutation}", flush=True)
            faults += [f"{outcome}: {mutation} ({mutation.tests})"] if outcome != "noticed" else []
    print(f"{len(wanted) - len(faults)} of {len(wanted)} noticed in {time.monotonic() - began:.0f} s")
    print("\n".join(faults))
    return 1 if faults or not wanted else 0


def tried(copy: Path, mutation: Mutation, *, green: bool = False) -> str:
    """``noticed``, ``SURVIVED``, ``gone`` (its line) or ``red`` (its tests fail without it, or there are none)."""
    path = copy / mutation.file
    text = path.read_text() if path.is_file() else ""
    if text.count(mutation.old) != 1:
        return "gone"
    if not green and tests_of(copy, mutation.tests) != PASSED:
        return "red"
    path.write_text(text.replace(mutation.old, mutation.new))
    try:
        return "noticed" if run_tests(copy, mutation.tests) in NOTICED else "SURVIVED"
    finally:
        path.write_text(text)


@cache
def tests_of(copy: Path, tests: str) -> int:
    """The exit status of tests on the unchanged sources, which is asked for once."""
    return run_tests(copy, tests)


def run_tests(copy: Path, tests: str) -> int:
    """The exit status of pytest in the copy."""
    # The package is installed from the checkout; the copy comes before it, for the tests' own processes, too.
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", *tests.split()]
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, check=False).returncode


@contextmanager
def copy_of_checkout() -> Iterator[Path]:
    """The tracked files of the checkout, as they are, in a temporary folder."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        copy = Path(folder) / "checkout"
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, copy / name)
        yield copy


if __name__ == "__main__":
    sys.exit(main())
