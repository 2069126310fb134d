"""Trainings in processes of their own on one bucket: taken over, on another device, and with other code."""

import json
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import checkout
import places
import pytest

from components import storage

SETTINGS = {"epochs": 8, "batch_size": 32, "steps_per_epoch": 13, "checkpoint_share": 1.0, "patience": 0}
FILES = ("model.keras", "history.json", "training.json")
# Renewed, not written any more, expired: in seconds.
LEASE = {"LEASE": "0.5 2 4"}
LOSS = "components/tasks/_classifier/training.py"
Process = Callable[..., "subprocess.Popen[str]"]


def until(process: "subprocess.Popen[str]", pattern: str) -> str:
    """Read what a training prints until a line matches; all of it up to there."""
    assert process.stdout is not None
    told = ""
    for line in process.stdout:
        told += line
        if re.search(pattern, line):
            return told
    raise AssertionError(f"no line matches {pattern!r}:\n{told}")


def bytes_of(root: Path) -> dict[str, bytes]:
    return {name: (root / "trained" / name).read_bytes() for name in FILES}


def finished(process: "subprocess.Popen[str]", root: Path) -> str:
    """What a training prints from now on; it succeeds."""
    told, _ = process.communicate()
    assert process.returncode == 0, (root / "stderr").read_text()
    return told


def remaining(bucket: str) -> list[str]:
    """The files below a checkpoint root, without the fingerprint."""
    return [name.partition("/")[2] for name in storage.listing(bucket)]


@pytest.mark.slow
@pytest.mark.parametrize("last", [3, 7, 8], ids=["in the middle", "in its last epoch", "before its clean-up"])
def test_a_holder_that_was_stopped_for_longer_than_its_lease_leaves_the_living_one_alone(
    last: int, bucket: str, process: Process, tmp_path: Path
) -> None:
    with process(folder="whole", **SETTINGS) as whole:
        finished(whole, tmp_path / "whole")
    first = process(folder="first", checkpoint_root=bucket, environment=LEASE, **SETTINGS)
    second = None
    try:
        until(first, f"^epoch {last}/8")
        first.send_signal(signal.SIGSTOP)
        second = process(folder="second", checkpoint_root=bucket, environment=LEASE, **SETTINGS)
        until(second, "^resumed (in|after) epoch")
        first.send_signal(signal.SIGCONT)
        finished(second, tmp_path / "second")
        first.communicate()
    finally:
        for running in (first, second):
            if running and running.poll() is None:
                running.send_signal(signal.SIGCONT)
                running.kill()
                running.communicate()
    (line,) = [line for line in (tmp_path / "first/stderr").read_text().splitlines() if line.startswith("error: ")]
    assert first.returncode == 75 and "another run has taken over this training" in line
    assert not (tmp_path / "first/trained").exists()
    assert bytes_of(tmp_path / "second") == bytes_of(tmp_path / "whole")
    assert remaining(bucket) == ["lease.json"]
    with process(folder="first", checkpoint_root=bucket, environment=LEASE, **SETTINGS) as again:
        assert "resumed" not in finished(again, tmp_path / "first")
    assert bytes_of(tmp_path / "first") == bytes_of(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("begun", "retried"), [("mixed_bfloat16", "mixed_float16"), ("mixed_float16", "float32")], ids=["l4,t4", "t4,p4"]
)
def test_a_retry_on_the_next_rung_goes_on_in_the_precision_of_the_first(
    begun: str, retried: str, bucket: str, process: Process, tmp_path: Path
) -> None:
    settings = SETTINGS | {"epochs": 4, "precision": "auto"}
    with process(folder="whole", environment={"AUTO": begun}, **settings) as whole:
        finished(whole, tmp_path / "whole")
    with process(checkpoint_root=bucket, environment={"AUTO": begun}, **settings) as killed:
        until(killed, "^epoch 2/4")
        killed.kill()
    with process(checkpoint_root=bucket, environment={"AUTO": retried}, **settings) as again:
        told = finished(again, tmp_path / "run")
    assert f"this training has begun in {begun} and goes on in it" in told
    assert re.search(r"^resumed (in epoch 3|after epoch 2)", told, re.MULTILINE), told
    assert json.loads((tmp_path / "run/trained/training.json").read_text())["precision"] == begun
    assert bytes_of(tmp_path / "run") == bytes_of(tmp_path / "whole")
    assert remaining(bucket) == ["lease.json"]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A checkout to edit."""
    return checkout.copied(tmp_path / "checkout")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "old", "new", "anew"),
    [
        (LOSS, "(from_logits=True)", '(from_logits=True, reduction="sum")', True),
        ("components/train/loop.py", "import", "import", True),
        ("components/evaluate/gate.py", "import", "import", False),
    ],
    ids=["another loss", "a remark in the loop", "a remark in the gate"],
)
def test_a_training_that_was_interrupted_and_edited_starts_anew_and_keeps_the_old_checkpoints(
    file: str, old: str, new: str, anew: bool, bucket: str, process: Process, copy: Path, tmp_path: Path
) -> None:
    paths = {"PYTHONPATH": f"{copy}:{Path(places.__file__).parent}"}
    settings: dict[str, Any] = SETTINGS | {"epochs": 4}
    with process(checkpoint_root=bucket, environment=paths, **settings) as killed:
        until(killed, "^epoch 2/4")
        killed.kill()
    left = {name for name in storage.listing(bucket) if "/epoch-" in name}
    text = (copy / file).read_text()
    assert old in text
    (copy / file).write_text(text.replace(old, new) + "# A remark.\n")
    with process(folder="whole", environment=paths, **settings) as whole:
        finished(whole, tmp_path / "whole")
    with process(checkpoint_root=bucket, environment=paths, **settings) as again:
        told = finished(again, tmp_path / "run")
    lines = [line for line in told.splitlines() if line.startswith("training starts anew")]
    assert len(lines) == anew and ("resumed" in told) is not anew
    assert bytes_of(tmp_path / "run") == bytes_of(tmp_path / "whole")
    if anew:
        assert left and left <= set(storage.listing(bucket))
        assert next(iter(left)).partition("/")[0] in lines[0]
