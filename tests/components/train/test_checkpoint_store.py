"""Checkpoints: everything that changes is in them, and one training at a time writes them."""

import errno
import json
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from components import storage
from components.core import devices
from components.core.errors import StepError
from components.train import compiling
from components.train.checkpoint_file import Provenance, TrainingState, state_variables
from components.train.checkpoint_store import CheckpointStore
from components.train.settings import TrainingSettings


@pytest.fixture(scope="module")
def model():
    from components.models import cnn
    from components.tasks.image_classification.training import Training

    settings = TrainingSettings(batch_size=8)
    with devices.configured(backend="tensorflow") as device:
        made = cnn.build(cnn.Settings(filters=(4,), dropout=0.5), (8, 8, 1), 3)
        compiling.compile_model(made, Training({}).compile_arguments(made), np.zeros(1, "int64"), settings, 10, device)
    return made


def values(model) -> list[np.ndarray]:
    return [variable.numpy() for variable in state_variables(model)]


def test_state_has_weights_seeds_optimizer_and_metrics(model) -> None:
    paths = " ".join(variable.path for variable in state_variables(model))
    for part in ("conv2d/kernel", "seed_generator_state", "adam/iteration", "kernel_momentum", "accuracy/total"):
        assert part in paths


def test_what_is_restored_is_what_was_saved(model, tmp_path: Path) -> None:
    store = CheckpointStore.under(str(tmp_path), Provenance("abc"))
    generator = np.random.default_rng(0)
    for variable in state_variables(model):
        variable.assign(generator.integers(0, 100, variable.shape))
    done = TrainingState(2, 7, {"loss": [1 / 3, 0.1]}, 1, 1 / 3, 1, model.get_weights())
    before = values(model)
    store.save(model, done)
    for variable in state_variables(model):
        variable.assign(np.zeros(variable.shape))
    again = store.restore(model)
    for old, new in zip(before, values(model), strict=True):
        np.testing.assert_array_equal(old, new)
    weights, again.best_weights, done.best_weights = (done.best_weights, again.best_weights), None, None
    assert again == done
    for old, new in zip(*weights, strict=True):
        np.testing.assert_array_equal(old, new)


def test_only_the_last_two_are_kept(model, tmp_path: Path) -> None:
    store = CheckpointStore.under(str(tmp_path), Provenance("abc"))
    for epoch in (1, 2, 3, 12):
        store.save(model, TrainingState(epochs=epoch))
    assert store.names() == ["epoch-00003", "epoch-00012"]
    assert not list(tmp_path.rglob(".*"))


def test_what_a_killed_writer_left_half_written_is_not_seen(model, tmp_path: Path) -> None:
    store = CheckpointStore.under(str(tmp_path), Provenance("abc"))
    store.save(model, TrainingState(epochs=1))
    aside = tmp_path / "abc" / ".epoch-00002.4711"
    aside.mkdir()
    (aside / "checkpoint.npz").write_bytes(b"half")
    assert store.restore(model).epochs == 1


def test_a_checkpoint_inside_an_epoch_comes_after_its_beginning_and_before_its_end(model, tmp_path: Path) -> None:
    store = CheckpointStore.under(str(tmp_path), Provenance("abc"), count=5)
    for epochs, step in ((2, 1000), (3, 0), (2, 0), (2, 90)):
        store.save(model, TrainingState(epochs, step))
    assert store.names() == ["epoch-00002", "epoch-00002-step-00000090", "epoch-00002-step-00001000", "epoch-00003"]
    assert store.restore(model) == TrainingState(3, 0)


def test_a_sound_checkpoint_of_a_model_with_other_variables_is_refused_and_stays(model, tmp_path: Path) -> None:
    from components.models import cnn
    from components.tasks.image_classification.training import Training

    store = CheckpointStore.under(str(tmp_path), Provenance("abc"))
    store.save(model, TrainingState(epochs=1))
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with devices.configured(backend="tensorflow") as device:
        other = cnn.build(cnn.Settings(filters=(5,)), (8, 8, 1), 3)
        arguments = Training({}).compile_arguments(other)
        compiling.compile_model(other, arguments, np.zeros(1, "int64"), TrainingSettings(), 10, device)
    before = values(other)
    with pytest.raises(
        StepError, match=r"epoch-00001 belongs to another configuration: its variables are not"
    ) as caught:
        store.restore(other)
    assert "\n" not in str(caught.value)
    for old, new in zip(before, values(other), strict=True):
        np.testing.assert_array_equal(old, new)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == files
    assert store.restore(model).epochs == 1


def test_a_damaged_checkpoint_is_set_aside_until_newer_ones_have_been_written(model, tmp_path: Path, capsys) -> None:
    store = CheckpointStore.under(str(tmp_path), Provenance("abc"))
    for epoch in (1, 2):
        with store.lease():
            store.save(model, TrainingState(epochs=epoch))
    damaged = tmp_path / "abc/epoch-00002-lease-00002"
    (damaged / "checkpoint.npz").write_bytes(b"half")
    with store.lease():
        assert store.restore(model).epochs == 1
        assert "checkpoint epoch-00002-lease-00002 is unusable and skipped" in capsys.readouterr().out
        assert (damaged / "checkpoint.npz").read_bytes() == b"half" and (damaged / "damaged.json").is_file()
        assert store.restore(model).epochs == 1 and "unusable" not in capsys.readouterr().out
        # Training comes to the same position again.
        store.save(model, TrainingState(epochs=2))
        assert store.names() == ["epoch-00001-lease-00001", "epoch-00002-lease-00003"] and damaged.is_dir()
        store.save(model, TrainingState(epochs=3))
        assert store.names() == ["epoch-00002-lease-00003", "epoch-00003-lease-00003"] and not damaged.is_dir()
        assert store.restore(model).epochs == 3


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EMFILE, errno.EIO], ids=errno.errorcode.get)
def test_a_machine_that_cannot_read_now_costs_no_checkpoint(
    model, tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = CheckpointStore.under(str(tmp_path), Provenance("abc"))
    store.save(model, TrainingState(epochs=1))
    with monkeypatch.context() as broken:

        def fail(*_: object) -> None:
            raise OSError(number, os.strerror(number))

        broken.setattr(shutil, "copyfile", fail)
        if number == errno.EIO:  # a broken sector: the ones before may serve
            assert store.restore(model) == TrainingState() and store.names() == []
        else:
            with pytest.raises(OSError, match=os.strerror(number)):
                store.restore(model)
            assert store.names() == ["epoch-00001"]
    assert (tmp_path / "abc/epoch-00001/checkpoint.npz").stat().st_size > 1000


def test_other_code_goes_on_from_a_checkpoint_that_is_named_and_is_left_alone(model, tmp_path: Path, capsys) -> None:
    CheckpointStore.under(str(tmp_path), Provenance("abc-1")).save(model, TrainingState(epochs=2))
    store = CheckpointStore.under(str(tmp_path), Provenance("abc-2"), origin="abc-1")
    state = store.restore(model)
    assert (state.epochs, state.other_code) == (2, ["after epoch 2 from abc-1"])
    state.epochs = 3
    store.save(model, state)
    assert store.restore(model).other_code == ["after epoch 2 from abc-1"]
    assert CheckpointStore.under(str(tmp_path), Provenance("abc-1")).names() == ["epoch-00002"]
    assert "anew" not in capsys.readouterr().out
    (tmp_path / "abc-1/epoch-00002/checkpoint.npz").write_bytes(b"half")
    assert CheckpointStore.under(str(tmp_path), Provenance("abc-3"), origin="abc-1").restore(model).epochs == 0
    assert not (tmp_path / "abc-1/epoch-00002/damaged.json").exists()


@pytest.mark.parametrize(
    "other", [Provenance("def"), Provenance("abc", seed=1)], ids=["other settings", "another seed"]
)
def test_a_checkpoint_of_another_configuration_is_refused_and_nothing_touched(
    model, tmp_path: Path, other: Provenance
) -> None:
    store = CheckpointStore.under(str(tmp_path), Provenance("abc"))
    store.save(model, TrainingState(epochs=1))
    for variable in state_variables(model):
        variable.assign(np.ones(variable.shape))
    with pytest.raises(StepError, match=r"epoch-00001 belongs to another configuration: .* remove ") as caught:
        CheckpointStore(store.uri, other).restore(model)
    assert "\n" not in str(caught.value)
    assert all((value == 1).all() for value in values(model))
    assert store.names() == ["epoch-00001"]


def test_a_checkpoint_of_other_code_is_named_kept_and_not_used(
    model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # As it is now, as it was before code was in the fingerprint, and of other settings.
    for fingerprint in ("abc-1", "abc", "abd-1"):
        CheckpointStore.under(str(tmp_path), Provenance(fingerprint)).save(model, TrainingState(epochs=2))
    assert CheckpointStore.under(str(tmp_path), Provenance("abc-2")).restore(model).epochs == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("training starts anew: the checkpoints of the same settings in abc, abc-1 come ")
    assert CheckpointStore.under(str(tmp_path), Provenance("abc-1")).restore(model).epochs == 2
    assert capsys.readouterr().out == ""


def test_another_number_of_threads_is_warned_about(model, tmp_path: Path, capsys) -> None:
    CheckpointStore.under(str(tmp_path), Provenance("abc", threads=4)).save(model, TrainingState(epochs=1))
    for threads, warned in ((4, False), (2, True)):
        assert CheckpointStore.under(str(tmp_path), Provenance("abc", threads=threads)).restore(model).epochs == 1
        assert ("warning: 4 threads computed this checkpoint, and 2 continue" in capsys.readouterr().out) is warned


def taken_over(store: CheckpointStore) -> None:
    """Let another machine's process take the lease of a training."""
    values = {"machine": "another", "pid": 1, "began": 1, "id": "somebody", "token": 9, "beat": 1}
    storage.write_text(f"{store.uri}/lease.json", json.dumps(values))


def test_who_was_taken_over_publishes_and_removes_nothing(model, bucket: str) -> None:
    store = CheckpointStore.under(bucket, Provenance("abc"))
    with store.lease():
        for epoch in (1, 2):
            store.save(model, TrainingState(epochs=epoch))
        store.save_goodput({"attempts": 1})
        taken_over(store)
        before = storage.listing(store.uri)
        for change in (lambda: store.save(model, TrainingState(epochs=3)), store.remove, store.check):
            with pytest.raises(StepError, match="another run has taken over this training") as caught:
                change()
            assert caught.value.kind == "preempted"
        with pytest.raises(StepError, match="another run has taken over"):
            store.save_goodput({"attempts": 1})
        assert storage.listing(store.uri) == before
    assert json.loads(storage.read_text(f"{store.uri}/lease.json"))["id"] == "somebody"


def test_a_takeover_while_a_checkpoint_is_sent_costs_the_new_holder_nothing(
    model, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = CheckpointStore.under(bucket, Provenance("abc"))
    upload = storage.upload

    def overtaken(*arguments: object, **options: object) -> None:
        upload(*arguments, **options)
        taken_over(store)

    with store.lease():
        for epoch in (1, 2):
            store.save(model, TrainingState(epochs=epoch))
        monkeypatch.setattr(storage, "upload", overtaken)
        with pytest.raises(StepError, match="another run has taken over this training"):
            store.save(model, TrainingState(epochs=3))
    assert store.names() == [f"epoch-{epoch:05d}-lease-00001" for epoch in (1, 2, 3)]


def test_a_holder_removes_no_checkpoint_of_a_later_one(model, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is stopped after it has looked at the lease and before it acts: only the token can help."""
    first, second = (CheckpointStore.under(bucket, Provenance("abc"), 1) for _ in range(2))
    with second.lease():  # two holders before, the second one's token is higher
        pass
    with first.lease():
        first.save(model, TrainingState(epochs=1))
    with second.lease():
        second.save(model, TrainingState(epochs=1, step=5))
        monkeypatch.setattr(first, "check", lambda: None)
        first.save(model, TrainingState(epochs=2))
        first.remove()
        assert second.names() == ["epoch-00001-step-00000005-lease-00003"]
        assert json.loads(storage.read_text(f"{second.uri}/lease.json"))["token"] == 3
        second.check()
        second.remove()
    assert storage.listing(second.uri) == ["lease.json"]


def test_a_token_is_higher_than_those_of_all_checkpoints_even_if_the_lease_was_removed(model, bucket: str) -> None:
    store = CheckpointStore.under(bucket, Provenance("abc"))
    for epoch in (1, 2):
        with store.lease():
            store.save(model, TrainingState(epochs=epoch))
    storage.remove(store.uri)
    storage.write_text(f"{store.uri}/epoch-00001-lease-00007/checkpoint.npz", "")
    with store.lease():
        assert store.token == 8


def test_a_second_training_of_the_same_waits_for_the_first(tmp_path: Path, capsys) -> None:
    first, second = (CheckpointStore.under(str(tmp_path), Provenance("abc")) for _ in range(2))
    entered = threading.Event()

    def wait() -> None:
        with second.lease():
            entered.set()

    with first.lease():
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert not entered.wait(0.3)
        first.remove()  # the lease file goes with the rest, and the waiting one makes its own
    assert entered.wait(5)
    waiting.join()
    assert "another run is training the same" in capsys.readouterr().out
    with CheckpointStore.under(str(tmp_path), Provenance("def")).lease(), second.lease():
        pass
