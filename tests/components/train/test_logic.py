"""Train: repeatable, resumable, honest about what it ran on and about what it cannot do."""

import json
import math
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components.core import devices, sources
from components.core.errors import StepError
from components.core.examples import PreparedData
from components.models import cnn
from components.train.checkpoint_store import CheckpointStore
from components.train.logic import check, class_weights
from components.train.settings import TrainingSettings

KINDS = ("flip", "shift", "crop")


def test_equal_seeds_give_equal_bytes_and_others_do_not(training) -> None:
    runs = [training(folder=str(n), seed=seed, augmentation=KINDS) for n, seed in enumerate((3, 3, 4))]
    assert runs[0].digests() == runs[1].digests()
    assert runs[0].digests()["model.keras"] != runs[2].digests()["model.keras"]
    assert runs[0].history == runs[1].history != runs[2].history


def test_classes_count_as_much_as_they_are_told(training) -> None:
    tables = ("none", {"0": 1.0}, {"0": 50.0})
    equal, ones, heavy = (training(folder=str(n), epochs=1, class_weight=table) for n, table in enumerate(tables))
    assert ones.history["loss"] == pytest.approx(equal.history["loss"])
    assert heavy.history["loss"][0] > 2 * equal.history["loss"][0]


def test_balanced_classes_have_the_same_sum_and_unknown_ones_are_named(examples: PreparedData) -> None:
    counts = examples.info["class_counts"]
    weights = class_weights(TrainingSettings(class_weight="balanced"), examples)
    assert weights is not None
    assert [weight * count for weight, count in zip(weights, counts, strict=True)] == pytest.approx(
        [sum(counts) / 10] * 10
    )
    with pytest.raises(StepError, match=r"training\.class_weight: unknown class 'O'; choose from 0, 1"):
        check(examples, cnn.Settings(), TrainingSettings(class_weight={"O": 2}))
    older = replace(examples, info={key: value for key, value in examples.info.items() if key != "class_counts"})
    with pytest.raises(StepError, match=r"do not tell how many examples each class has; prepare the data again"):
        class_weights(TrainingSettings(class_weight="balanced"), older)
    assert class_weights(TrainingSettings(), older) is None


@pytest.fixture
def interrupted(process, tmp_path: Path):
    """A training with Dropout and augmentation, killed after its third epoch of five."""
    with process(epochs=5, augmentation=KINDS, checkpoint_share=1.0) as running:
        for line in running.stdout:
            if line.startswith("epoch 3/5"):
                running.send_signal(signal.SIGKILL)
                break
    return tmp_path / "run" / "checkpoints"


def spoil_newest(root: Path) -> None:
    newest = sorted(root.glob("*/epoch-*/*.npz"))[-1]
    newest.write_bytes(newest.read_bytes()[:-2000])


def flip_bits_in_newest(root: Path) -> None:
    newest = sorted(root.glob("*/epoch-*/*.npz"))[-1]
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 0xFF
    newest.write_bytes(content)


def spoil_all(root: Path) -> None:
    for path in root.glob("*/epoch-*/*.npz"):
        path.write_bytes(b"")


def test_a_resumed_training_ends_as_an_uninterrupted_one(interrupted: Path, training, capsys) -> None:
    whole = training(folder="whole", epochs=5, augmentation=KINDS)
    names = [path.parent.name for path in sorted(interrupted.glob("*/*/*.npz"))]
    assert names == ["epoch-00002-lease-00001", "epoch-00003-lease-00001"]
    training(epochs=1)
    changed = {"checkpoint_seconds": 7.0, "checkpoint_kept": 3}  # they serve whatever these are
    assert len(list(interrupted.rglob("*.npz"))) == 2, "those of other settings are left alone"
    capsys.readouterr()
    states = {
        "as it was left": (lambda _: None, 3),
        "the newest truncated": (spoil_newest, 2),
        "the newest with flipped bits": (flip_bits_in_newest, 2),
        "all empty": (spoil_all, 0),
    }
    kept = shutil.copytree(interrupted, interrupted.parent / "kept")
    for what, (spoil, epochs) in states.items():
        shutil.rmtree(interrupted, ignore_errors=True)
        shutil.copytree(kept, interrupted)
        spoil(interrupted)
        again = training(epochs=5, augmentation=KINDS, **changed)
        told = capsys.readouterr().out
        assert again.digests() == whole.digests(), what
        assert (f"resumed after epoch {epochs}" in told) == bool(epochs), what
        assert told.count("warning: checkpoint") == (3 - epochs if epochs else 2), what
        assert not list(interrupted.rglob("*")), f"{what}: the next training starts from scratch"


def test_other_code_libraries_or_precision_do_not_go_on_where_a_training_was(
    training, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    under = CheckpointStore.under
    monkeypatch.setattr(CheckpointStore, "under", lambda root, own, *more: seen.append(own) or under(root, own, *more))
    few = {"epochs": 1, "steps_per_epoch": 1, "validation_steps": 1, "patience": 0, "precision": "auto"}
    monkeypatch.setattr(devices, "choose_precision", lambda wanted, found: "float32")
    training(**few)
    training(**few)
    with monkeypatch.context() as other:
        other.setattr(devices, "choose_precision", lambda wanted, found: "mixed_bfloat16")
        training(**few)
    with monkeypatch.context() as other:
        other.setattr(sources, "digests", lambda step, chosen: {"components/core/devices.py": "edited"})
        edited = training(**few).record["fingerprints"]["training code"]
    with monkeypatch.context() as other:
        other.setattr(sources, "versions", lambda step, chosen: {"keras": "9.9"})
        training(**few)
    first, again, *others = [provenance.fingerprint for provenance in seen]
    assert first == again and len({first, *others}) == 4
    assert len({fingerprint.partition("-")[0] for fingerprint in (first, *others)}) == 1
    assert edited == sources.digest({"components/core/devices.py": "edited"})


def test_patience_stops_early_and_restores_the_best_weights(training, examples) -> None:
    import keras

    done = training(epochs=30, learning_rate=0.02, patience=2, seed=1, precision="float32")
    losses = done.history["val_loss"]
    assert len(losses) < 30
    assert done.record["best_epoch"] == int(np.argmin(losses)) + 1 == len(losses) - 2
    model = keras.saving.load_model(done.root / "trained/model.keras")
    batch = next(iter(examples.batches("validation", 1000)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(batch["label"], model(batch["image"]))
    assert float(loss) == pytest.approx(min(losses), rel=1e-4)
    assert done.metrics["val_loss"] == min(losses)


def test_outputs_tell_what_happened_and_on_what(training) -> None:
    done = training(epochs=2, steps_per_epoch=5, validation_steps=1, patience=0)
    assert set(done.history) == {"accuracy", "loss", "val_accuracy", "val_loss"}
    assert {len(values) for values in done.history.values()} == {2}
    record = done.record
    assert (record["precision"], record["backend"], record["epochs"]) == (done.metrics["precision"], "tensorflow", 2)
    assert record["input_shape"] == [8, 8, 1]
    assert record["threads"] >= 1
    assert set(record["fingerprints"]) == {"data", "model", "training", "training code"}
    assert done.metrics["examples_per_second"] > 0
    assert "cpu" in done.metrics["device"] or "gpu" in done.metrics["device"]
    assert done.metrics["val_accuracy"] == done.history["val_accuracy"][-1]
    json.dumps(done.metrics, allow_nan=False)
    page = (done.root / "curves").read_text()
    assert page.count('<svg class="plot') == 2
    assert not re.search(r"(src|href)=.http", page)
    assert sorted(path.name for path in (done.root / "logs").iterdir()) == ["train", "validation"]


def test_tensorboard_reads_the_events(training) -> None:
    import tensorflow as tf
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    done = training(epochs=2, steps_per_epoch=5)
    for part, names in (("train", ["loss", "accuracy"]), ("validation", ["val_loss", "val_accuracy"])):
        events = EventAccumulator(str(done.root / "logs" / part)).Reload()
        for name in names:
            written = events.Tensors(f"epoch_{name.removeprefix('val_')}")
            values = [float(tf.make_ndarray(event.tensor_proto)) for event in written]
            assert values == pytest.approx(done.history[name])


@pytest.mark.parametrize(("optimizer", "schedule"), [("adam", "cosine"), ("adamw", "constant"), ("sgd", "cosine")])
def test_every_optimizer_and_schedule_learns(training, optimizer: str, schedule: str) -> None:
    rate = 0.1 if optimizer == "sgd" else 0.01
    done = training(
        epochs=2, optimizer=optimizer, schedule=schedule, learning_rate=rate, warmup_steps=10, weight_decay=1e-4
    )
    assert done.history["loss"][-1] < 0.95 * done.history["loss"][0]


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"batch_size": 4096}, "settings", ["a batch of 4096", "train split of 1"]),
        ({"warmup_steps": 10_000}, "settings", ["training.warmup_steps", "10000"]),
        ({"model": {"padding": "valid", "filters": (8, 16, 32)}}, "settings", ["leave nothing of 8 pixels"]),
        ({"backend": "jax"}, "settings", ["Keras already runs on tensorflow"]),
        ({"accelerator_type": "google.com/tpu", "accelerator_count": "4"}, "resources", ["4 x google.com/tpu was"]),
        ({"optimizer": "sgd", "learning_rate": 1e20}, "model", ["epoch 1", "by step", "learning rate 1e+20"]),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_work_is_told_in_one_line(training, changes, kind: str, words: list[str]) -> None:
    with pytest.raises(StepError) as caught:
        training(**changes)
    assert caught.value.kind == kind
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert "\n" not in str(caught.value)


def test_patience_without_a_validation_split_is_refused(examples: PreparedData) -> None:
    data = replace(examples, splits={"train": 100, "validation": 0, "test": 10})
    settings = cnn.Settings(filters=(8,), padding="same")
    with pytest.raises(StepError, match="patience need a validation split"):
        check(data, settings, TrainingSettings())
    assert check(data, settings, TrainingSettings(patience=0, batch_size=30)) == 3


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_another_backend_trains_and_tensorflow_loads_its_model(process, backend: str, tmp_path: Path, examples) -> None:
    pytest.importorskip(backend, reason=f"{backend} is not installed (the extra suanli[{backend}])")
    import keras

    with process(backend=backend, epochs=3, learning_rate=0.01) as running:
        told, _ = running.communicate()
    assert running.returncode == 0, told
    record = json.loads((tmp_path / "run/trained/training.json").read_text())
    assert record["backend"] == backend
    assert keras.backend.backend() == "tensorflow"
    model = keras.saving.load_model(tmp_path / "run/trained/model.keras")
    history = json.loads((tmp_path / "run/trained/history.json").read_text())
    batch = next(iter(examples.batches("validation", 1000)))
    logits = keras.ops.convert_to_numpy(model(batch["image"]))
    accuracy = float((logits.argmax(1) == batch["label"].numpy()).mean())
    assert accuracy == pytest.approx(history["val_accuracy"][record["best_epoch"] - 1], abs=1e-6)
    assert accuracy > 0.5
    assert math.isfinite(float(logits.sum()))


def test_logic_imports_without_tensorflow() -> None:
    code = "import sys, components.train.logic; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
