"""suanli open, and the page that suanli runs compare writes."""

import json
import webbrowser
from pathlib import Path
from typing import Any

import accessibility
import numpy as np
import pytest

from components.evaluate import verdict
from components.evaluate.gate import Decision
from pipelines import experiment
from pipelines.cli.main import main
from pipelines.compile import targets
from pipelines.runs import folder, page, record
from pipelines.runs.folder import Run


def evaluated(root: Path, wrong: int, keys: int = 100) -> Run:
    """A run that has ended, wrong on the first examples of its test split."""
    run = folder.create(root, "digits")
    values = record.initial(experiment.load("digits"), targets.local(root), "digits", True)
    accuracy = 1 - wrong / keys
    metrics = {
        "accuracy": accuracy,
        "accuracy_low": accuracy - 0.1,
        "accuracy_high": min(1.0, accuracy + 0.1),
        "loss": 0.5,
    }
    ended = {"status": "succeeded", "seconds": 1.0, "metrics": metrics, "accepted": True, "reasons": []}
    run.write({"id": run.id, **values, **ended})
    truth = {"key": np.array([b"%016x" % number for number in range(keys)]), "label": np.zeros(keys, np.int64)}
    scores = np.ones(keys)
    scores[:wrong] = 0
    outputs = {"logits": np.zeros((keys, 2), np.float32)}
    verdict.write(
        run.folder / "v", Decision(()), [], outputs, truth, [{}] * keys, scores, {"paired_metric": "accuracy"}
    )
    step: dict[str, Any] = {"step": "evaluate", "started": 1, "outputs": {"verdict": {"path": "v"}}}
    (run.folder / "steps").mkdir()
    (run.folder / "steps/evaluate.json").write_text(json.dumps(step))
    page.write(run, run.read())
    return run


def test_it_prints_the_page_and_opens_it_on_a_screen_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    run = evaluated(tmp_path, 10)
    for arguments, path in (
        (["latest"], run.folder / "index.html"),
        ([], run.folder / "index.html"),
        (["--all"], tmp_path / "index.html"),
    ):
        assert main(["open", *arguments, "--runs", str(tmp_path)]) == 0
        assert capsys.readouterr().out == f"{path}\n" and path.is_file()
    assert opened == []
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert main(["open", "--runs", str(tmp_path)]) == 0 and opened == []
    monkeypatch.setenv("DISPLAY", ":0")
    assert main(["open", "--runs", str(tmp_path)]) == 0 and opened == [(run.folder / "index.html").as_uri()]


def test_a_run_without_a_page_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = evaluated(tmp_path, 10)
    (run.folder / "index.html").unlink()
    assert main(["open", run.id, "--runs", str(tmp_path)]) == 2
    assert (
        f"run {run.id} has no page here: its status is succeeded; suanli runs show {run.id}" in capsys.readouterr().err
    )
    assert main(["open", run.id, "--all", "--runs", str(tmp_path)]) == 2
    assert main(["open", "nothing", "--runs", str(tmp_path)]) == 2
    assert main(["open", "--all", "--runs", str(tmp_path / "none")]) == 2


def compared(root: Path, capsys: pytest.CaptureFixture[str], *runs: Run) -> str:
    assert main(["runs", "compare", *(run.id for run in runs), "--runs", str(root)]) == 0
    printed = capsys.readouterr()
    assert printed.out.split()[:2] == [run.id for run in runs][:2] and "page:" not in printed.out
    assert printed.err == f"page: {root / 'comparison.html'}\n"
    text = (root / "comparison.html").read_text()
    assert accessibility.faults(text) == []
    return text


def test_runs_on_the_same_examples_are_compared_in_pairs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [evaluated(tmp_path, wrong) for wrong in (30, 5, 30)]
    text = compared(tmp_path, capsys, *runs)
    assert f"On the same 100 test examples, {runs[1].id} is shown to have the better accuracy." in text
    assert "On each of the 100 test examples, which are the same, both have the same accuracy." in text
    assert "+25.00\xa0points" in text and f'href="{runs[1].id}/index.html"' in text
    assert f"{runs[1].id} is shown to have the better accuracy" in compared(tmp_path, capsys, runs[1], runs[0])


def test_runs_on_other_examples_are_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [evaluated(tmp_path, 30), evaluated(tmp_path, 5, keys=60)]
    text = compared(tmp_path, capsys, *runs)
    assert "Their test examples are not the same: 100 and 60, 60 of them in both." in text and "is shown" not in text
    (runs[1].folder / "steps/evaluate.json").unlink()
    assert f"The results of {runs[1].id} are not on this machine" in compared(tmp_path, capsys, *runs)
