"""Which examples a training sees: those of an undisturbed one, in the same order, however often it is killed."""

import random
import signal
import time
from hashlib import sha256
from pathlib import Path

import pytest
import seen

from components.core.errors import StepError
from components.core.examples import PreparedData

EPOCHS, STEPS, BATCH = 3, 19, 32
# Seven calls an epoch: six of three steps, one of one. Each ends with a checkpoint.
SETTINGS = {
    "epochs": EPOCHS,
    "batch_size": BATCH,
    "steps_per_epoch": STEPS,
    "patience": 0,
    "checkpoint_seconds": 0.001,
    "checkpoint_share": 1.0,
}
KINDS = ("flip", "shift", "crop")
augmented = pytest.mark.parametrize("kinds", [(), KINDS], ids=["as they are", "augmented"])


def keys_of(examples: PreparedData) -> dict[str, str]:
    """Digest of an example's pixels -> its key, for the train split."""
    return {
        sha256(image.tobytes()).hexdigest()[:16]: key.decode()
        for batch in examples.batches("train", 256).as_numpy_iterator()
        for image, key in zip(batch["image"], batch["key"], strict=True)
    }


@augmented
def test_a_training_stopped_by_sigterm_sees_every_example_once_and_in_its_place(
    kinds: tuple[str, ...], residence: str, training, sigterm_at, tmp_path: Path, examples: PreparedData
) -> None:
    with seen.recorded(tmp_path / "whole.seen"):
        training(folder="whole", augmentation=kinds, **SETTINGS)
    draw = random.Random(f"{kinds} {residence}")
    with seen.recorded(tmp_path / "stopped.seen"):
        for _ in range(2):
            sigterm_at("on_train_batch_end", draw.randint(1, 9))
            with pytest.raises(StepError, match="asked to end"):
                training(augmentation=kinds, **SETTINGS)
        training(augmentation=kinds, **SETTINGS)
    whole = seen.steps(tmp_path / "whole.seen")
    assert [number for number, _ in whole] == list(range(EPOCHS * STEPS))
    assert seen.steps(tmp_path / "stopped.seen") == whole
    if not kinds:
        keys = keys_of(examples)
        orders = [
            [keys[digest] for number, digests in whole if number // STEPS == epoch for digest in digests]
            for epoch in range(EPOCHS)
        ]
        assert {len(set(order)) for order in orders} == {STEPS * BATCH}
        assert len({tuple(order) for order in orders}) == EPOCHS


def kept(steps: list[tuple[int, list[str]]]) -> list[tuple[int, list[str]]]:
    """The steps that the model keeps: what came after the checkpoint that another attempt went on from is undone."""
    line: list[tuple[int, list[str]]] = []
    for number, digests in steps:
        line = [step for step in line if step[0] < number] + [(number, digests)]
    return line


@pytest.mark.slow
@augmented
@pytest.mark.parametrize("streamed", ["", "streamed"], ids=["in memory", "streamed"])
def test_a_training_killed_at_random_steps_sees_the_examples_of_an_undisturbed_one(
    kinds: tuple[str, ...], streamed: str, process, tmp_path: Path
) -> None:
    def start(folder: str):
        environment = {"SEEN": str(tmp_path / f"{folder}.seen"), "STREAMED": streamed}
        return process(folder=folder, environment=environment, augmentation=kinds, **SETTINGS)

    with start("whole") as whole:
        assert "done" in whole.communicate()[0]
    draw, log, ends = random.Random(f"{kinds} {streamed}"), tmp_path / "killed.seen", []
    for number in [signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, None]:
        with start("killed") as running:
            if number:
                lines = len(seen.steps(log)) if log.exists() else 0
                _wait_for(log, lines + draw.randint(4, 14), running)
                time.sleep(draw.random() * 0.02)
                running.send_signal(number)
            told, _ = running.communicate()
        ends.append(running.returncode)
    assert ends == [-9, 75, -9, 0] and "resumed" in told
    assert kept(seen.steps(log)) == seen.steps(tmp_path / "whole.seen")
    for name in ("model.keras", "history.json", "training.json"):
        assert (tmp_path / "killed/trained" / name).read_bytes() == (tmp_path / "whole/trained" / name).read_bytes()


def _wait_for(log: Path, lines: int, process) -> None:
    deadline = time.monotonic() + 600
    while not log.exists() or log.read_bytes().count(b"\n") < lines:
        assert process.poll() is None and time.monotonic() < deadline, "training has not come so far"
        time.sleep(0.001)
