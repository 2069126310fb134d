"""Checkpoints in Cloud Storage: the same resume as from a folder."""

import signal
import time

import pytest

from components import storage
from components.core.errors import StepError

SETTINGS = {"epochs": 3, "batch_size": 32, "steps_per_epoch": 13, "checkpoint_seconds": 0.001, "checkpoint_share": 1.0}
FILES = ("model.keras", "history.json", "training.json")


def test_a_training_goes_on_from_a_checkpoint_in_a_bucket(bucket: str, training, sigterm_at, capsys) -> None:
    whole = training(folder="whole", **SETTINGS)
    sigterm_at("on_train_batch_end", 8)
    with pytest.raises(StepError, match="asked to end"):
        training(checkpoint_root=bucket, **SETTINGS)
    left = [name.partition("/")[2] for name in storage.listing(bucket) if not name.endswith(storage.MANIFEST)]
    steps = "epoch-00001-step-{:08d}-lease-00001/checkpoint.npz".format
    assert left == [steps(6), steps(9), "goodput/spent.json", "lease.json"]
    again = training(checkpoint_root=bucket, **SETTINGS)
    assert "resumed in epoch 2 after step 9 of 13" in capsys.readouterr().out
    assert again.digests() == whole.digests()
    assert again.metrics["attempts"] == 2
    assert [name.partition("/")[2] for name in storage.listing(bucket)] == ["lease.json"]


@pytest.mark.slow
def test_a_training_killed_while_it_writes_to_a_bucket_resumes_at_once(bucket: str, process, tmp_path) -> None:
    with process(folder="whole", **SETTINGS) as whole:
        assert "done" in whole.communicate()[0]
    for seconds in (0.0, 0.05, None):
        with process(checkpoint_root=bucket, **SETTINGS) as running:
            if seconds is not None:
                for line in running.stdout:
                    if line.startswith(("epoch", "resumed")):
                        break
                time.sleep(seconds)
                running.send_signal(signal.SIGKILL)
            told, _ = running.communicate()
    assert "resumed" in told and "waiting" not in told
    for name in FILES:
        assert (tmp_path / "run/trained" / name).read_bytes() == (tmp_path / "whole/trained" / name).read_bytes()
