"""Twelve runs at once on one folder of runs, one registry and one cache."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

RUNS = 12
PATIENCE_S = 1500
# Any model is good enough, and as good as the champion: what decides is who comes first.
SETTINGS = (
    *("model.filters=[8]", "model.dense=8", "training.epochs=1", "training.patience=0", "training.threads=1"),
    *("evaluation.require=[]", "evaluation.margin=0.99", "evaluation.slice_margin=0.99", "evaluation.resamples=200"),
    *('export.formats=["litert"]', "export.timing_seconds=0.01"),
)


def command(runs: Path, *arguments: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "SUANLI_RUNS": str(runs)}
    return subprocess.Popen(
        [sys.executable, "-m", "pipelines", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def suanli(runs: Path, *arguments: str, code: int = 0) -> str:
    with command(runs, *arguments) as process:
        out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == code, f"{arguments} ended with {process.returncode}\n{out}\n{err}"
    return out


def outcome(code: int, record: dict[str, Any]) -> str:
    """What became of a run: published, refused by the gate, told to evaluate again; else its own words."""
    if code == 0 and record["status"] == "succeeded":
        return "published" if record["accepted"] else "refused"
    cause = record.get("cause", {})
    told = (
        cause.get("kind") == "conflict" and cause["step"] == "export" and cause["advice"].startswith("evaluate again")
    )
    return "told" if code == 1 and told else f"{code} {record['status']} {cause}"


@pytest.mark.slow
@pytest.mark.timeout(2 * PATIENCE_S)
def test_twelve_runs_at_once_all_end_with_one_champion_and_no_file_damaged(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    sets = [part for setting in SETTINGS for part in ("--set", setting)]
    begun = [command(runs, "run", "digits", *sets, "--set", f"training.seed={seed}", "--json") for seed in range(RUNS)]
    ended = [(process.communicate(timeout=PATIENCE_S), process.returncode) for process in begun]
    assert [err for (out, err), _ in ended if not out or "Traceback" in err] == []
    records = [json.loads(out) for (out, _), _ in ended]
    outcomes = {record["id"]: outcome(code, record) for record, (_, code) in zip(records, ended, strict=True)}
    assert len(outcomes) == RUNS
    assert set(outcomes.values()) <= {"published", "refused", "told"}

    suanli(runs, "registry", "verify")
    versions = json.loads(suanli(runs, "registry", "list", "--json"))
    published = {run for run, what in outcomes.items() if what == "published"}
    assert {version["published"]["run"] for version in versions} == published
    assert [version["state"] for version in versions].count("champion") == 1
    assert {version["state"] for version in versions} <= {"champion", "published"}
    # Each compared itself with the one that it replaced: a chain without a fork.
    history = json.loads((runs / "registry" / "digits" / "champion.json").read_text())["history"]
    assert [entry["replaced"] for entry in history] == ["", *(entry["version"] for entry in history[:-1])]

    assert {record["id"]: record["status"] for record in json.loads(suanli(runs, "runs", "list", "--json"))} == {
        run: "failed" if what == "told" else "succeeded" for run, what in outcomes.items()
    }
    assert (runs / "latest").resolve().name in outcomes
    assert len([path for path in (runs / ".store").iterdir() if path.is_dir()]) == 1

    for run in [run for run, what in outcomes.items() if what == "told"][:1]:
        suanli(runs, "run", "--resume", run)
        assert json.loads(suanli(runs, "registry", "list", "--json"))[-1]["published"]["run"] == run
        suanli(runs, "registry", "verify")
