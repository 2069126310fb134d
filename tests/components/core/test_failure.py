import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from components.core import failure
from components.core.errors import EXIT_CODES, StepError
from components.core.failure import Failure
from components.steps import STEPS

# As Kubeflow 2.17's workflow controller has it.
PATTERN = re.compile("(?i)(imminent node shutdown|node is shutting down|preempt|evict|spot|pod deleted)")
# A step in a process of its own; its argument is the body of its logic.
STEP = """
import os, signal, sys, threading, time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from components.core import step
from components.core.errors import StepError
from components.steps import STEPS

def logic(out):
    exec(sys.argv[1], globals())

STEPS["train"] = replace(STEPS["train"], logic="__main__:logic", state="")

out = SimpleNamespace(path=sys.argv[2] + "/out", uri=sys.argv[2] + "/out", metadata={})
step.run("train", parameters={}, outputs={"out": out})
"""


def ended(body: str, folder: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """A step without a run's folder, as on a cluster, whose logic is ``body``."""
    (folder / "termination").touch()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SUANLI", "KFP"))}
    environment = {**kept, "SUANLI_TERMINATION": str(folder / "termination"), **variables}
    command = [sys.executable, "-c", STEP, body, str(folder)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def told(folder: Path) -> Failure:
    """What the step has said to Kubernetes, which is what it has left beside its outputs."""
    said = failure.read((folder / "termination").read_text())
    assert said and said == failure.read((folder / failure.FILE).read_text())
    return said


@pytest.mark.parametrize("kind", sorted(set(EXIT_CODES) - {"bug"}))
def test_each_kind_of_fault_ends_the_process_with_its_code_and_is_told_everywhere(kind: str, tmp_path: Path) -> None:
    done = ended(f"raise StepError('it is wrong', advice='mend it', kind={kind!r})", tmp_path)
    assert (done.returncode, done.stderr) == (EXIT_CODES[kind], "error: it is wrong; mend it\n")
    assert told(tmp_path) == Failure("train", kind, "it is wrong", "mend it")


def test_a_bug_is_told_with_its_traceback_on_stderr_alone(tmp_path: Path) -> None:
    done = ended("1 / 0", tmp_path)
    assert done.returncode == EXIT_CODES["bug"]
    assert "Traceback" in done.stderr and done.stderr.endswith("\nerror: ZeroDivisionError: division by zero\n")
    assert told(tmp_path) == Failure("train", "bug", "ZeroDivisionError: division by zero")


def test_a_termination_is_a_preemption_that_no_handler_on_the_way_swallows(tmp_path: Path) -> None:
    body = """
try:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(30)
except Exception:
    print("swallowed")
"""
    done = ended(body, tmp_path)
    assert (done.returncode, done.stdout) == (EXIT_CODES["preempted"], "")
    assert told(tmp_path).kind == "preempted"


def test_a_termination_that_comes_in_a_finalizer_ends_the_step_all_the_same(tmp_path: Path) -> None:
    body = """
class Finalized:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
step.LOST_S = 0.5
Finalized()
for _ in range(300):
    time.sleep(0.1)
"""
    done = ended(body, tmp_path)
    assert "Exception ignored in" in done.stderr
    assert done.returncode == EXIT_CODES["preempted"]
    assert told(tmp_path).kind == "preempted"


def test_a_step_that_hangs_in_native_code_is_ended_from_another_thread(tmp_path: Path) -> None:
    body = """
threading.Timer(0.1, lambda: step.end_now(StepError("no batch for 1 s", kind="stalled"))).start()
with open(os.open("fifo", os.O_RDWR), "rb") as never:
    never.read(1)
"""
    os.mkfifo(tmp_path / "fifo")
    body = body.replace('"fifo"', repr(str(tmp_path / "fifo")))
    began = time.monotonic()
    done = ended(body, tmp_path)
    assert (done.returncode, time.monotonic() - began < 30) == (EXIT_CODES["stalled"], True)
    assert told(tmp_path) == Failure("train", "stalled", "no batch for 1 s")


def test_argo_s_pattern_finds_a_preemption_and_nothing_else() -> None:
    words = "the class folder Spotted_dog is empty, evicted and preempted; pod deleted by an imminent node shutdown"
    for kind in EXIT_CODES:
        found = Failure("prepare", kind, words, "spot the difference")
        text = failure.termination_message(found)
        assert bool(PATTERN.search(text)) == (kind == "preempted")
        assert failure.read(text) == found
    assert failure.TRANSIENT.pattern == PATTERN.pattern


# What Argo retries whatever its pattern says (util/errors/errors.go, isTransientNetworkErr, as strings.Contains).
ARGO = (
    *("Connection closed by foreign host", "net/http: TLS handshake timeout", "i/o timeout", "connection timed out"),
    *("connection reset by peer", "http2: client connection lost", "connect: connection refused", "invalid connection"),
    *("http2: server sent GOAWAY and closed the connection", "etcdserver: leader changed", "upper: no more rows in"),
)


@pytest.mark.parametrize("words", ARGO)
def test_argo_takes_no_fault_of_the_step_s_own_for_one_of_the_network(words: str) -> None:
    for kind in EXIT_CODES:
        found = Failure("prepare", kind, f"cannot read https://example.com: {words}", words)
        text = failure.termination_message(found)
        # A machine's fault may be gone with another attempt.
        assert (words in text) == (kind in {"preempted", "resources"})
        assert failure.read(text) == found


def test_a_step_that_is_done_says_so_in_words_that_are_retried_if_its_pod_fails_all_the_same(tmp_path: Path) -> None:
    done = ended("Path(out.path).touch()", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    text = (tmp_path / "termination").read_text()
    said = failure.read(text)
    assert PATTERN.search(text) and said and (said.step, said.kind) == ("train", "preempted")
    assert said.message.startswith("the step was done; ")
    # Nothing beside the outputs says that it failed, also to another attempt.
    assert not (tmp_path / failure.FILE).exists()
    assert ended("Path(out.path).touch()", tmp_path, KFP_RETRY_INDEX="1").returncode == 0


@pytest.mark.parametrize(
    ("uri", "run"),
    [
        ("gs://b/kfp/training-digits/0b1c2d3e-0000-4000-8000-123456789abc/train/1f/trained", True),
        ("minio://mlpipeline/v2/artifacts/small/0b1c2d3e-0000-4000-8000-123456789abc/export/9/card", True),
        ("/tmp/run/train/out", False),
        ("", False),
    ],
)
def test_a_run_of_kubeflow_is_known_by_where_its_outputs_lie(uri: str, run: bool) -> None:
    found = failure.run_of({"out": SimpleNamespace(uri=uri, path="", metadata={})})
    assert found == ("0b1c2d3e-0000-4000-8000-123456789abc" if run else "")


@pytest.mark.parametrize("letter", ["x", "ß", "算", '"', "\n"])
def test_a_long_message_is_cut_to_what_kubernetes_keeps(letter: str) -> None:
    text = failure.termination_message(Failure("train", "data", letter * 9000, "shorten it"))
    found = failure.read(text)
    assert len(text.encode()) <= failure.TERMINATION_BYTES
    assert found and found.advice == "shorten it" and found.message.endswith(f"{letter}...")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "killed", '{"kind": "data"}', '{"step": "", "kind": "no", "message": ""}']
)
def test_what_is_no_failure_is_not_taken_for_one(text: str) -> None:
    assert failure.read(text) is None


# --- another attempt -------------------------------------------------------------------------------------------------

MARKS = "Path(out.path).with_name('attempts').open('a').write('.')\n"


@pytest.mark.parametrize(("kind", "attempts"), [("data", "."), ("bug", "."), ("preempted", ".."), ("resources", "..")])
def test_another_attempt_at_what_is_hopeless_ends_before_it_begins(kind: str, attempts: str, tmp_path: Path) -> None:
    body = MARKS + ("1 / 0" if kind == "bug" else f"raise StepError('it is wrong', kind={kind!r})")
    first = ended(body, tmp_path, KFP_RETRY_INDEX="0")
    second = ended(body, tmp_path, KFP_RETRY_INDEX="1")
    assert first.returncode == second.returncode == EXIT_CODES[kind]
    assert first.stderr.splitlines()[-1] == second.stderr.splitlines()[-1]
    assert (tmp_path / "attempts").read_text() == attempts and told(tmp_path).kind == kind


def test_a_first_attempt_looks_at_nothing_that_an_other_run_has_left(tmp_path: Path) -> None:
    ended("raise StepError('it is wrong')", tmp_path)
    done = ended("Path(out.path).touch()", tmp_path, KFP_RETRY_INDEX="0")
    assert done.returncode == 0, done.stderr


# --- what cannot be told ---------------------------------------------------------------------------------------------


def test_a_failure_that_cannot_be_written_beside_the_outputs_is_told_all_the_same(tmp_path: Path) -> None:
    (tmp_path / failure.FILE).mkdir()
    done = ended("raise StepError('it is wrong')", tmp_path)
    assert done.returncode == EXIT_CODES["data"]
    assert done.stderr.startswith("error: it is wrong\nwarning: the failure could not be written to ")
    assert json.loads((tmp_path / "termination").read_text())["message"] == "it is wrong"


def test_storage_that_does_not_answer_holds_no_process_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(failure, "REPORT_S", 0.2)
    place = tmp_path / "place"
    place.mkdir()
    # An open that waits for a reader that never comes.
    os.mkfifo(place / "hangs")
    monkeypatch.setattr(failure.storage, "write_text", lambda uri, text: (place / "hangs").write_text(text))
    began = time.monotonic()
    failure.report(Failure("train", "data", "it is wrong"), str(place))
    assert time.monotonic() - began < 5
    assert capfd.readouterr().err.endswith("could not be written to " + str(place) + ": no answer\n")
    (place / "hangs").read_text()


def test_signals_are_as_before_after_a_step_has_run(monkeypatch: pytest.MonkeyPatch) -> None:
    from components.core import step

    monkeypatch.setitem(STEPS, "prepare", replace(STEPS["prepare"], logic=f"{__name__}:fails"))
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit):
        step.run("prepare", parameters={}, outputs={})
    assert signal.getsignal(signal.SIGTERM) == before


def fails() -> None:
    raise StepError("it is wrong")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "/runs/model.keras"),
        RuntimeError("/runs/part-0; No space left on device [Op:SaveV2]"),
        StepError("litert cannot be written", kind="model"),
    ],
    ids=["system", "library", "wrapped"],
)
def test_a_full_disk_is_one_whatever_was_made_of_it(error: Exception) -> None:
    if isinstance(error, StepError):
        error.__context__ = OSError(errno.ENOSPC, "No space left on device")
    found = failure.from_exception("train", error)
    assert found.kind == "resources"
    assert re.fullmatch(r"cannot write( at /runs/model\.keras)?: No space left on device", found.message)
    assert "free space" in found.advice
