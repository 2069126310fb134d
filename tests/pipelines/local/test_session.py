"""A run that is resumed after an edit: refused before any work, or told to go on and recorded everywhere."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import checkout
import laid_run
import pytest
from kfp import dsl

from components.core.errors import StepError
from components.core.sources import chosen_in
from components.train import lineage
from components.train.lineage import Lineage
from pipelines.local import session
from pipelines.runs.folder import Run

LOSS = "components/tasks/_classifier/training.py"


@dsl.component(base_image="suanli-python", install_kfp_package=False)
def nothing():
    """A step without work."""


@pytest.fixture
def trained(tmp_path: Path) -> Run:
    """A run that was interrupted in train, after its first checkpoint, with other code than the present one."""
    run = laid_run.lay(tmp_path / "runs", nothing, {})
    values = run.read()
    code, versions = lineage.installed(chosen_in(values["parameters"]))
    own = Lineage("abc", code | {LOSS: "before"}, versions | {"keras": "1.0"}, "tensorflow", "float32")
    lineage.write(str(run.folder), {"folder": own.folder, **vars(own)})
    path = Path(values["target"]["checkpoint_root"], own.folder, "epoch-00001-lease-00001")
    path.mkdir(parents=True)
    (path / "checkpoint.npz").touch()
    return run


def files(run: Run) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in run.root.rglob("*") if path.is_file()}


def resume(run: Run, **options: bool) -> int:
    return session.resume(run, **{"other_code": False, "debug": False, "as_json": False} | options)


def test_other_code_is_refused_before_anything_is_touched(trained: Run) -> None:
    before = files(trained)
    with pytest.raises(
        StepError, match=f"checkpoints of run {trained.id} has changed since: {LOSS}, keras; "
    ) as caught:
        resume(trained)
    assert caught.value.kind == "settings" and f"--resume {trained.id} --other-code" in str(caught.value)
    assert files(trained) == before


def test_without_a_checkpoint_there_is_nothing_to_refuse(trained: Run) -> None:
    for path in trained.root.rglob("checkpoint.npz"):
        path.unlink()
    assert resume(trained) == 0
    assert "other_code" not in trained.read()


def test_the_option_is_recorded_in_the_run_and_told_to_train(trained: Run) -> None:
    assert resume(trained, other_code=True) == 0
    folder = lineage.read(str(trained.folder))["folder"]
    assert trained.read()["other_code"] == [{"checkpoints": folder, "changed": [LOSS, "keras"]}]
    assert lineage.read(str(trained.folder))[lineage.ALLOWED] is True
    assert f"{folder} ({LOSS}, keras)" in (trained.folder / "index.html").read_text()


def test_a_run_in_containers_keeps_the_code_of_its_images(trained: Run) -> None:
    trained.write(trained.read() | {"runner": "docker"})
    with pytest.raises(StepError, match="is in containers, which keep the code of their images"):
        resume(trained, other_code=True)


def start(copy: Path, *arguments: str) -> "subprocess.Popen[str]":
    sets = ("training.epochs=40", "training.patience=0", "training.checkpoint_share=1", 'export.formats=["litert"]')
    return subprocess.Popen(
        [sys.executable, "-m", "pipelines", "run", *arguments, *(part for one in sets for part in ("--set", one))],
        cwd=copy,
        env=checkout.environment(copy),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def interrupted(copy: Path) -> Run:
    """The run of digits in a checkout, interrupted by Ctrl-C after its third checkpoint."""
    with start(copy, "digits") as command:
        end = time.monotonic() + 120
        while not list((copy / "runs/.checkpoints").glob("*/epoch-00003*")):
            assert time.monotonic() < end and command.poll() is None, command.communicate()
            time.sleep(0.05)
        command.send_signal(signal.SIGINT)
        command.communicate()
    return Run((copy / "runs/latest").resolve())


def ended(copy: Path, *arguments: str) -> dict[str, Any]:
    done = checkout.suanli(copy, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    record: dict[str, Any] = json.loads(done.stdout)
    return record


@pytest.mark.slow
def test_a_run_that_was_edited_while_it_was_interrupted(tmp_path: Path) -> None:
    copy = checkout.copied(tmp_path / "checkout")
    run = interrupted(copy)
    (first,) = (copy / "runs/.checkpoints").glob("*-*/")
    text = (copy / LOSS).read_text()
    (copy / LOSS).write_text(text.replace("(from_logits=True)", '(from_logits=True, reduction="sum")'))

    before = files(run)
    refused = checkout.suanli(copy, "run", "--resume", run.id)
    assert refused.returncode == 2 and files(run) == before
    assert refused.stderr.count("\n") == 1 and LOSS in refused.stderr and "--other-code" in refused.stderr

    mixed = ended(copy, "run", "--resume", run.id, "--other-code")
    assert mixed["other_code"] == [{"checkpoints": first.name, "changed": [LOSS]}]
    assert first.name in mixed["training"]["other_code"]
    (version,) = (copy / "runs/registry/digits/versions").glob("*/")
    (line,) = json.loads((version / "version.json").read_text())["training"]["other_code"]
    assert line.endswith(f" from {first.name}")
    assert f"computed by other code: it went on {line}" in (version / "card.md").read_text()
    assert list(first.glob("epoch-*")), "the checkpoints of the code before stay"

    anew = ended(
        copy,
        *("run", "digits", "--set", "training.epochs=40", "--set", "training.patience=0"),
        *("--set", 'export.formats=["litert"]'),
    )
    assert not anew["steps"]["train"]["cached"] and "other_code" not in anew["training"]
    assert anew["training"]["loss"] != mixed["training"]["loss"]
