"""A short campaign; the long ones are ``make chaos``."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("storage", [("local",), ("gs", "--faults")], ids=" ".join)
def test_a_run_that_is_killed_four_times_ends_like_an_undisturbed_one(storage: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "tests.campaigns.chaos", "--kills", "4", "--storage", *storage]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 kills in" in done.stdout and "are identical" in done.stdout
