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


def folders(bucket: str) -> dict[str, list[str]]:
    """Each training's folder -> its files, manifests aside."""
    found: dict[str, list[str]] = {}
    for name in storage.listing(bucket):
        folder, _, file = name.partition("/")
        if not file.endswith(storage.MANIFEST):
            found.setdefault(folder, []).append(file)
    return found


def test_on_a_cluster_an_attempt_after_one_that_was_done_goes_on_at_its_end(
    bucket: str, training, monkeypatch, capsys
) -> None:
    monkeypatch.setenv("KFP_POD_NAME", "small-x7k2p-system-container-impl-1")
    seldom = SETTINGS | {"checkpoint_seconds": 3600.0}
    first = training(checkpoint_root=bucket, **seldom)
    ((folder, files),) = folders(bucket).items()
    assert "epoch-00003-lease-00001/checkpoint.npz" in files and sum("checkpoint.npz" in file for file in files) == 1
    assert "epoch 3/3" in capsys.readouterr().out
    again = training(folder="again", checkpoint_root=bucket, **seldom)
    out = capsys.readouterr().out
    assert "resumed" in out and "epoch 3/3" not in out
    assert again.digests() == first.digests()
    # What nobody continues goes with the next training, unless somebody does so just now.
    ended = storage.join(bucket, folder, "finished/time.json")
    storage.write_text(ended, '{"time": 0}')
    lease = storage.join(bucket, folder, "lease.json")
    storage.write_text(lease, '{"id": "another", "machine": "elsewhere"}')
    training(folder="other", checkpoint_root=bucket, seed=8, **seldom)
    assert "finished/time.json" in folders(bucket)[folder] and len(folders(bucket)) == 2
    storage.write_text(lease, '{"token": 2}')
    training(folder="other", checkpoint_root=bucket, seed=8, **seldom)
    assert folders(bucket)[folder] == ["lease.json"] and len(folders(bucket)) == 2


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
