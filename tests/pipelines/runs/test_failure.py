import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from components.core.errors import EXIT_CODES
from pipelines.runs import failure, folder
from pipelines.runs.folder import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = folder.create(tmp_path / "runs", "digits")
    (run.folder / "steps").mkdir()
    (run.folder / "log").mkdir()
    return run


def step(run: Run, name: str, **values: Any) -> Path:
    path = run.folder / "steps" / f"{name}.json"
    path.write_text(json.dumps({"step": name, "state": "running", "started": 1.0, **values}))
    return path


def test_a_step_s_own_words_are_the_cause(run: Run) -> None:
    told = {"kind": "data", "message": "the pictures are upside down", "advice": "turn them", "traceback": "Traceback"}
    step(run, "prepare", state="succeeded")
    step(run, "train", state="failed", started=2.0, cause=told)
    found = failure.diagnose(run, "train").record()
    assert found == {
        "step": "train",
        "kind": "data",
        "message": "the pictures are upside down",
        "advice": "turn them",
        "details": "",
        "log": "log/runner.log",
    }
    assert failure.line(found) == "train failed: the pictures are upside down; turn them"


def test_a_bug_s_cause_has_its_traceback(run: Run) -> None:
    step(
        run,
        "train",
        cause={"kind": "bug", "message": "KeyError: 'x'", "advice": "", "traceback": "Traceback\n  here\n"},
    )
    assert failure.diagnose(run, "train").details == "Traceback\n  here"


@pytest.mark.parametrize(
    ("status", "out_of_memory", "kind", "message"),
    [
        (-9, True, "memory", "killed by the system for lack of memory"),
        (137, True, "memory", "killed by the system for lack of memory"),
        (137, False, "preempted", "killed from outside (SIGKILL)"),
        (-9, None, "memory", "killed from outside, or by the system for lack of memory"),
        (143, False, "preempted", "ended by SIGTERM"),
        (-11, False, "bug", "ended by SIGSEGV"),
        (128 + signal.SIGABRT, True, "bug", "ended by SIGABRT"),
        (200, False, "bug", "ended by signal 72"),
        (1, False, "bug", "it ended with exit status 1 and reported no error"),
        *(
            (code, False, kind, f"it ended with exit status {code} and reported no error")
            for kind, code in EXIT_CODES.items()
        ),
    ],
)
def test_an_exit_status_tells_what_a_silent_step_ended_of(
    status: int, out_of_memory: bool | None, kind: str, message: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    path = step(run, "train")
    failure.record_exit(run, "train", status, out_of_memory=out_of_memory)
    assert json.loads(path.read_text())["state"] == "died"
    found = failure.diagnose(run, "train")
    assert (found.step, found.kind, found.message) == ("train", kind, message)
    assert capsys.readouterr().out.startswith(("error: ", "exit status"))


@pytest.mark.parametrize("status", [0, 65])
def test_a_step_that_has_told_why_or_has_succeeded_is_left_alone(status: int, run: Run) -> None:
    told = {"cause": {"kind": "data", "message": "", "advice": "", "traceback": ""}} if status else {}
    path = step(run, "train", **told)
    before = path.read_text()
    failure.record_exit(run, "train", status, out_of_memory=False)
    assert path.read_text() == before


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"step": "train", "sta'])
def test_a_damaged_record_of_a_step_that_died_is_written_anew(text: str, run: Run) -> None:
    path = run.folder / "steps" / "train.json"
    path.write_text(text)
    failure.record_exit(run, "train", -11, out_of_memory=False)
    assert failure.diagnose(run, "train").message == "ended by SIGSEGV"


def test_a_step_that_never_came_to_its_record_is_told_of_by_its_log(run: Run) -> None:
    (run.folder / "log" / "train.log").write_text("one\n[KFP Executor 2026]: Looking for it\ntwo\n")
    failure.record_exit(run, "train", 1, out_of_memory=False)
    found = failure.diagnose(run, "train")
    assert (found.kind, found.details, found.log) == ("bug", "one\ntwo", "log/train.log")


def test_a_record_that_a_full_disk_forbade_is_told_of_by_its_log(run: Run) -> None:
    step(run, "prepare")
    (run.folder / "log" / "prepare.log").write_text("error: cannot write at /x: No space left on device; free space\n")
    found = failure.diagnose(run, "prepare")
    assert found.kind == "resources" and found.message.startswith("cannot write at /x")


def test_where_nothing_started_the_runner_is_to_blame(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(run.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=0))
    found = failure.diagnose(run, "")
    assert (found.step, found.kind) == ("runner", "resources") and "no space left" in found.message
