"""What checkpoints cost, how soon a process ends after SIGTERM, and how soon a resumed one trains again."""

import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from benchmarks._rows import row
from components.core import devices
from components.data import fashion_mnist
from components.models import cnn
from components.train.settings import TrainingSettings, count_steps

ROUNDS = 5
STOPS = 20
SHARE_GOAL, EXIT_GOAL = 2.0, 10.0
SEED = 6
MODEL = cnn.Settings(padding="same")
# Longer than the benchmark: it is always stopped.
TRAINING = TrainingSettings(epochs=10_000, patience=10_000)
OUTPUTS = ("trained", "metrics", "curves", "logs")


def main() -> None:
    """Print the cost in percent of training time, and seconds with median and worst."""
    with tempfile.TemporaryDirectory(prefix="checkpoints-") as folder:
        examples = prepared(Path(folder))
        overhead(Path(folder), examples)
        stops(Path(folder), examples)


def prepared(root: Path) -> str:
    """Fashion-MNIST's artifact, written by the prepare step's own logic."""
    from components.prepare.logic import prepare

    data = fashion_mnist.Settings().parameters()
    places = [SimpleNamespace(path=str(root / name), uri="", metadata={}) for name in ("examples", "report.html")]
    prepare(data, str(root / "data"), "", *places)
    return str(root / "examples")


# --- overhead --------------------------------------------------------------------------------------------------------


def overhead(root: Path, examples: str) -> None:
    """Whole epochs with checkpoints at the default settings and without any, turn by turn on one model."""
    with ExitStack() as stack:
        epoch = epochs(root, examples, stack)
        for kind in (True, False):
            epoch(kind)  # compiles
        ratios, shares = [], []
        for _ in range(ROUNDS):
            seconds, writing = {}, 0.0
            for kind in (True, False):
                seconds[kind], spent = epoch(kind)
                writing += spent
            ratios.append(seconds[True] / seconds[False])
            shares.append(100 * writing / seconds[True])
    share = statistics.median(shares)
    verdict = "at most" if share <= SHARE_GOAL else "ABOVE"
    row("checkpoints, share of training time", f"{share:.2f} %", "", f"{verdict} {SHARE_GOAL:g} %")
    row("epochs with / without checkpoints, time", f"{statistics.median(ratios):.3f}")


def epochs(root: Path, examples: str, stack: ExitStack) -> Callable[[bool], tuple[float, float]]:
    """A function that trains one epoch, with or without checkpoints; seconds in all and for writing them."""
    from components.core.examples import PreparedData
    from components.tasks.image_classification.training import Training
    from components.train import callbacks, compiling, inputs, loop
    from components.train.checkpoint_callback import CheckpointCallback
    from components.train.checkpoint_file import Provenance, TrainingState
    from components.train.checkpoint_store import CheckpointStore
    from components.train.checkpoint_timer import CheckpointInterval, CheckpointTimer
    from components.train.goodput import GoodputTracker
    from components.train.preemption import StopRequest

    data = PreparedData.read(examples)
    task = Training(data.info)
    split = inputs.open_split(data, "train", task.input_fn({}))
    steps = count_steps(split.count, TRAINING.batch_size, TRAINING.steps_per_epoch, whole_batches=True)
    device = stack.enter_context(devices.configured())
    model = cnn.build(MODEL, **task.arguments(MODEL, data))
    compiling.compile_model(model, task.compile_arguments(model), split.zero_targets(), TRAINING, steps, device)
    # Where patience is asked for, as by default, the best weights so far are saved with the last ones.
    state = TrainingState(best_weights=model.get_weights())
    throughput = callbacks.Throughput(TRAINING.batch_size, steps)
    timer = CheckpointTimer(CheckpointInterval.from_settings(TRAINING))
    store = CheckpointStore.under(str(root / "kept"), Provenance("overhead"))
    checkpoints = CheckpointCallback(model, store, state, timer, StopRequest(), throughput, GoodputTracker.resume({}))

    def epoch(saved: bool) -> tuple[float, float]:
        pairs = inputs.shuffled(split, TRAINING.batch_size, steps, seed=0, epoch=state.epochs)
        began, before = time.perf_counter(), timer.seconds
        watching = (throughput, callbacks.ProgressReport(TRAINING, throughput), *([checkpoints] if saved else []))
        loop.one_epoch(model, pairs, None, state.epochs, watching, steps=steps)
        state.epochs, state.step = state.epochs + 1, 0
        if saved:
            checkpoints.epoch_counted()
        return time.perf_counter() - began, timer.seconds - before

    return epoch


# --- stops -----------------------------------------------------------------------------------------------------------


def stops(root: Path, examples: str) -> None:
    """One training that is stopped by SIGTERM again and again, and goes on in a new process each time."""
    draw, ends, starts = random.Random(SEED), [], []
    for number in range(STOPS):
        began = time.perf_counter()
        with started(root, examples, number) as process:
            first_step(root / str(number), process)
            if number:
                starts.append(time.perf_counter() - began)
            time.sleep(draw.uniform(0, 5))
            asked = time.perf_counter()
            process.send_signal(signal.SIGTERM)
            code = process.wait()
            ends.append(time.perf_counter() - asked)
        if code != 75:
            sys.exit(f"error: the process ended with {code}: {(root / str(number) / 'stderr').read_text()[-1000:]}")
    verdict = "under" if max(ends) < EXIT_GOAL else "NOT UNDER"
    row(f"SIGTERM to exit, {STOPS} times", *_middle_and_worst(ends), f"{verdict} {EXIT_GOAL:g} s")
    row("resumed process, start to first new step", *_middle_and_worst(starts))


def _middle_and_worst(seconds: list[float]) -> tuple[str, str]:
    return f"median {statistics.median(seconds):.2f} s", f"worst {max(seconds):.2f} s"


def started(root: Path, examples: str, number: int) -> "subprocess.Popen[str]":
    """The next attempt, in a run's folder of its own."""
    folder = root / str(number)
    folder.mkdir()
    request: dict[str, Any] = {
        "parameters": {
            "model": MODEL.parameters(),
            "training": TRAINING.parameters(),
            "checkpoint_root": str(root / "checkpoints"),
            "accelerator_type": "",
            "accelerator_count": "0",
        },
        "inputs": {"examples": examples},
        "outputs": {name: str(folder / name) for name in OUTPUTS},
    }
    (folder / "request.json").write_text(json.dumps(request))
    environment = {**os.environ, "SUANLI_RUN": str(folder), "SUANLI_CACHE": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    with (folder / "request.json").open() as stdin, (folder / "stderr").open("w") as stderr:
        return subprocess.Popen(
            [sys.executable, "-m", "benchmarks._step"],
            stdin=stdin,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            text=True,
            env=environment,
        )


def first_step(folder: Path, process: "subprocess.Popen[str]") -> None:
    """Wait for the first report of a step."""
    while process.poll() is None:
        told = folder / "progress.jsonl"
        if told.exists() and '"batch"' in told.read_text():
            return
        time.sleep(0.01)
    sys.exit(f"error: the training ended by itself: {(folder / 'stderr').read_text()[-1000:]}")


if __name__ == "__main__":
    main()
