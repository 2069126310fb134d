import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.core.errors import StepError
from components.train.watchdog import Watchdog


@pytest.fixture
def ended() -> list[StepError]:
    return []


def test_a_watchdog_that_is_reset_ends_nothing(ended: list[StepError]) -> None:
    with Watchdog(0.4, first_timeout=0.4, end=ended.append) as watchdog:
        for step in range(1, 16):
            watchdog.reset(step)
            time.sleep(0.05)
    assert not ended


def test_a_stall_is_reported_with_its_place(ended: list[StepError], capfd: pytest.CaptureFixture[str]) -> None:
    with Watchdog(0.2, first_timeout=10.0, end=ended.append) as watchdog:
        watchdog.start_phase("epoch 2")
        watchdog.reset(130)
        time.sleep(0.6)
    (fault,) = ended
    assert (fault.kind, fault.message) == ("stalled", "no batch for 0.2 s in epoch 2 after step 130")
    assert "training.stall_seconds" in fault.advice
    assert "test_a_stall_is_reported_with_its_place" in capfd.readouterr().err  # where each thread stands


def test_what_starts_may_take_as_long_as_a_compilation(ended: list[StepError]) -> None:
    with Watchdog(0.1, first_timeout=3.0, end=ended.append) as watchdog:
        time.sleep(0.3)
        watchdog.reset(1)
        watchdog.start_phase("validation")
        time.sleep(0.3)
        watchdog.reset(1)
    assert not ended


def test_a_first_batch_that_never_comes_is_noticed_too(ended: list[StepError]) -> None:
    with Watchdog(0.1, first_timeout=0.3, end=ended.append) as watchdog:
        watchdog.start_phase("epoch 1")
        time.sleep(0.8)
    assert [fault.message for fault in ended] == ["no batch for 0.3 s in epoch 1, before its first step"]


def test_without_seconds_nothing_is_watched(ended: list[StepError]) -> None:
    with Watchdog(0.0, first_timeout=0.1, end=ended.append):
        time.sleep(0.3)
    assert not ended


STALLED = """
import sys
from dataclasses import replace
from components.core import step
from components.steps import STEPS
from types import SimpleNamespace

def logic(out):
    import tensorflow as tf
    from components.train.watchdog import Watchdog

    def slow(number):
        if number == 3:
            open(sys.argv[1] + "/fifo", "rb").read(1)  # a mount that does not answer
        return number

    data = tf.data.Dataset.range(9).map(lambda number: tf.numpy_function(slow, [number], tf.int64))
    with Watchdog(0.5, first_timeout=20.0) as watchdog:
        watchdog.start_phase("epoch 1")
        for number in data:
            watchdog.reset(int(number) + 1)
            print(int(number), flush=True)

out = SimpleNamespace(path=sys.argv[1] + "/out", uri="", metadata={})
STEPS["train"] = replace(STEPS["train"], logic="__main__:logic", state="")
step.run("train", parameters={}, outputs={"out": out})
"""


def process(folder: Path) -> "subprocess.Popen[str]":
    (folder / "termination").touch()
    os.mkfifo(folder / "fifo")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SUANLI")}
    return subprocess.Popen(
        [sys.executable, "-c", STALLED, str(folder)],
        env={**kept, "SUANLI_TERMINATION": str(folder / "termination"), "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_stalled_input_ends_the_process_while_its_main_thread_waits_in_tensorflow(tmp_path: Path) -> None:
    with process(tmp_path) as training:
        said, errors = training.communicate(timeout=60)
    assert (training.returncode, said) == (74, "0\n1\n2\n")
    assert "error: no batch for 0.5 s in epoch 1 after step 3; check the storage that holds the data" in errors
    assert '"kind": "stalled"' in (tmp_path / "termination").read_text()


STOPS = """
import os, signal, sys, time
for number in (signal.SIGSTOP, signal.SIGCONT):
    time.sleep(1)
    os.kill(int(sys.argv[1]), number)
"""


def test_a_process_that_was_stopped_as_a_whole_was_not_quiet(ended: list[StepError]) -> None:
    """As by a debugger, or a container that is paused."""
    with Watchdog(0.6, first_timeout=0.6, end=ended.append) as watchdog:
        stopper = subprocess.Popen([sys.executable, "-c", STOPS, str(os.getpid())])
        deadline = time.monotonic() + 3.0
        while time.monotonic() < deadline:
            watchdog.reset(1)
            time.sleep(0.01)
        stopper.wait(10)
    assert not ended and signal.getsignal(signal.SIGCONT) == signal.SIG_DFL
