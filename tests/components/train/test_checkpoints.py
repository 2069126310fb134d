"""Checkpoints: everything that changes is in them, and one training at a time writes them."""

import threading
from pathlib import Path

import numpy as np
import pytest

from components.core import devices
from components.train import loop
from components.train.checkpoints import Checkpoints, Progress, state_variables
from components.train.settings import TrainingSettings


@pytest.fixture(scope="module")
def model():
    from components.models import cnn
    from components.tasks import image_classification as task

    settings = TrainingSettings(batch_size=8)
    with devices.opened(backend="tensorflow") as device:
        made = cnn.build(cnn.Settings(filters=(4,), dropout=0.5), (8, 8, 1), 3)
        loop.make_ready(made, task.compile_arguments(), np.zeros(1, "int64"), settings, 10, device)
    return made


def values(model) -> list[np.ndarray]:
    return [variable.numpy() for variable in state_variables(model)]


def test_state_has_weights_seeds_optimizer_and_metrics(model) -> None:
    paths = " ".join(variable.path for variable in state_variables(model))
    for part in ("conv2d/kernel", "seed_generator_state", "adam/iteration", "kernel_momentum", "accuracy/total"):
        assert part in paths


def test_what_is_restored_is_what_was_saved(model, tmp_path: Path) -> None:
    kept = Checkpoints.under(str(tmp_path), "abc")
    generator = np.random.default_rng(0)
    for variable in state_variables(model):
        variable.assign(generator.integers(0, 100, variable.shape))
    done = Progress(2, {"loss": [1 / 3, 0.1]}, 1, 1 / 3, 1, model.get_weights())
    before = values(model)
    kept.save(model, done)
    for variable in state_variables(model):
        variable.assign(np.zeros(variable.shape))
    again = kept.restore(model)
    for old, new in zip(before, values(model), strict=True):
        np.testing.assert_array_equal(old, new)
    weights, again.best_weights, done.best_weights = (done.best_weights, again.best_weights), None, None
    assert again == done
    for old, new in zip(*weights, strict=True):
        np.testing.assert_array_equal(old, new)


def test_only_the_last_two_are_kept(model, tmp_path: Path) -> None:
    kept = Checkpoints.under(str(tmp_path), "abc")
    for epoch in (1, 2, 3, 12):
        kept.save(model, Progress(epochs=epoch))
    assert kept.names() == ["epoch-00003", "epoch-00012"]
    assert not list(tmp_path.rglob(".*"))


def test_what_a_killed_writer_left_half_written_is_not_seen(model, tmp_path: Path) -> None:
    kept = Checkpoints.under(str(tmp_path), "abc")
    kept.save(model, Progress(epochs=1))
    aside = tmp_path / "abc" / ".epoch-00002.4711"
    aside.mkdir()
    (aside / "checkpoint.npz").write_bytes(b"half")
    assert kept.restore(model).epochs == 1


@pytest.mark.parametrize("fault", ["other settings", "other layers"])
def test_a_checkpoint_of_something_else_is_passed_over(model, tmp_path: Path, fault: str, capsys) -> None:
    Checkpoints.under(str(tmp_path), "abc").save(model, Progress(epochs=1))
    other, reader = model, Checkpoints(f"{tmp_path}/abc", "def")
    if fault == "other layers":
        from components.models import cnn
        from components.tasks import image_classification as task

        with devices.opened(backend="tensorflow") as device:
            other = cnn.build(cnn.Settings(filters=(5,)), (8, 8, 1), 3)
            loop.make_ready(other, task.compile_arguments(), np.zeros(1, "int64"), TrainingSettings(), 10, device)
        reader = Checkpoints.under(str(tmp_path), "abc")
    before = values(other)
    assert reader.restore(other) == Progress()
    assert "warning: checkpoint epoch-00001 is unusable" in capsys.readouterr().out
    for old, new in zip(before, values(other), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_second_training_of_the_same_waits_for_the_first(tmp_path: Path, capsys) -> None:
    first, second = (Checkpoints.under(str(tmp_path), "abc") for _ in range(2))
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
    with Checkpoints.under(str(tmp_path), "def").lease(), second.lease():
        pass
