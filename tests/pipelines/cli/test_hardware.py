"""accelerators, explain, plan and nodepool from the command line."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.main import main
from pipelines.cli.plan import finite, flop, number


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache_home: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SUANLI_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("SUANLI_CACHE_HOME", str(cache_home))
    monkeypatch.delenv("SUANLI_DEBUG", raising=False)
    return tmp_path


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 0, capsys.readouterr()
    return capsys.readouterr().out


def document(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    return json.loads(answer(capsys, *arguments, "--json"))


def test_accelerators_lists_rows_in_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    lines = answer(capsys, "accelerators").splitlines()
    names = {line.split()[0] for line in lines}
    assert {"cpu-8", "t4", "l4x4", "a100-40g", "h100x8", "b200x8", "v5e-4", "v6e-8"} <= names
    assert "v5e-256" not in names and max(map(len, lines)) <= 80
    assert "v5e-256" in answer(capsys, "accelerators", "--all")


def test_accelerators_as_json_hold_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    rows = {row["name"]: row for row in document(capsys, "accelerators")}
    assert rows["t4"]["precisions"] == ["float32", "mixed_float16"]
    assert rows["v5e-16"]["refused"].startswith("one task is one pod")
    assert rows["l4"]["resource"] == "nvidia.com/gpu" and rows["l4"]["requests"]["memory"].endswith("Gi")


def test_explain_shows_each_pod_in_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    text = answer(capsys, "explain", "digits", "--accelerator", "v6e-8", "--spot", "--queue", "research")
    assert "cloud.google.com/gke-tpu-topology=2x4" in text and "google.com/tpu: 8" in text
    assert "kueue.x-k8s.io/queue-name=research" in text and "retries      3" in text
    assert "4.741 USD an hour" in text
    assert max(map(len, text.splitlines())) <= 80


def test_explain_shows_the_class_of_a_ladder_and_what_comes_after_it(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = document(capsys, "explain", "digits", "--accelerator", "v5e-4:spot,l4x2:spot,l4x2")
    assert first["rungs"] == ["v5e-4:spot"] and first["compute_class"] == {}
    train = next(pod for pod in second["pods"] if pod["step"] == "train")
    assert train["node_selector"]["cloud.google.com/compute-class"] == second["compute_class"]["metadata"]["name"]
    text = answer(capsys, "explain", "digits", "--accelerator", "v5e-4:spot,l4x2:spot,l4x2")
    assert text.count("\nprepare\n") == 1 and "kind: ComputeClass" in text


def test_a_teams_row_is_explained_like_any_other(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "accelerators.toml").write_text('[ours]\nlike = "l4"\nlabels = { team = "vision" }\non_demand = 0.5\n')
    text = answer(capsys, "explain", "digits", "--accelerator", "ours")
    assert "team=vision" in text and "0.500 USD an hour" in text


def test_plan_is_a_table_with_a_recommendation(capsys: pytest.CaptureFixture[str]) -> None:
    lines = answer(capsys, "plan", "digits").splitlines()
    assert lines[0].startswith("digits: cnn, ") and "FLOP a training example" in lines[0]
    starred = [line.split() for line in lines if line.startswith("*")]
    assert len(starred) == 1 and lines[-1].startswith(f"{starred[0][1]} is the cheapest")


def test_plan_as_json_says_what_cannot_hold_the_job_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "plan", "digits", "--set", "training.precision=mixed_bfloat16")
    refused = {one["row"]: one["reason"] for one in found["refused"]}
    assert "no units for mixed_bfloat16" in refused["t4"]
    assert {line["row"] for line in found["lines"]} & {"l4", "v5e-8"}


def test_a_budget_that_nothing_meets_says_what_comes_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "plan", "imagenet", "--budget", "1")
    assert found["choice"] == "" and found["nearest"]
    text = answer(capsys, "plan", "imagenet", "--budget", "1")
    assert found["nearest"] in text.splitlines()[-1]


def test_time_and_cost_prefer_different_rows(capsys: pytest.CaptureFixture[str]) -> None:
    cheap = document(capsys, "plan", "imagenet", "--deadline", "24h")
    fast = document(capsys, "plan", "imagenet", "--deadline", "24h", "--prefer", "time")
    chosen = {name: {line["row"]: line for line in found["lines"]} for name, found in (("c", cheap), ("f", fast))}
    assert chosen["c"][cheap["choice"]]["cost"] < chosen["f"][fast["choice"]]["cost"]
    assert chosen["c"][cheap["choice"]]["seconds"] > chosen["f"][fast["choice"]]["seconds"]


def test_every_number_of_a_row_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    facts = document(capsys, "plan", "digits", "--explain", "l4")
    assert len(facts) >= 8 and all(fact["formula"] or fact["source"] for fact in facts)


def test_planning_loads_no_heavy_library() -> None:
    script = (
        "import sys; from pipelines.cli.main import main\n"
        "main(['plan', 'digits', '--json'])\n"
        "print([name for name in ('kfp', 'tensorflow', 'keras', 'numpy', 'jax') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["explain", "digits", "--accelerator", "l5"], "unknown accelerator 'l5'; did you mean l4?"),
        (["explain", "digitz"], "unknown experiment 'digitz'; did you mean digits?"),
        (["plan", "digits", "--deadline", "soon"], "'soon' is not a duration; write 90m, 24h or 2d"),
        (["plan", "digits", "--explain", "h100x3"], "unknown accelerator 'h100x3'; it comes as h100, h100x2"),
        (["plan", "digits", "--calibrate", "nothing"], "there are no runs in"),
        (["plan", "digits", "--prefer", "beauty"], "Invalid value for '--prefer'"),
        (["nodepool", "l5", "--cluster", "c", "--location", "l"], "unknown accelerator 'l5'"),
        (["nodepool", "v5e-16", "--cluster", "c", "--location", "l"], "accelerator 'v5e-16': one task is one pod"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(f"error: {said}") and printed.err.count("\n") == 1 and printed.out == ""


def test_numbers_are_written_for_people() -> None:
    assert [number(1234567.0), number(12.3456789), number(1.5e12), number(0.0)] == [
        "1,234,567",
        "12.3457",
        "1.5e+12",
        "0",
    ]
    assert [flop(24.6e9), flop(29.1e6), flop(12)] == ["24.6 GFLOP", "29.1 MFLOP", "12 FLOP"]


def test_this_machine_is_a_row_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "plan", "digits", "--here")
    rates = {line["row"]: line["examples_per_second"] for line in found["lines"]}
    assert rates["here"] > 0 and "here" not in {line["row"] for line in document(capsys, "plan", "digits")["lines"]}


def test_a_run_that_never_ends_is_null_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert finite({"a": [float("inf"), 1.5], "b": float("nan")}) == {"a": [None, 1.5], "b": None}
    document(capsys, "plan", "imagenet", "--interruptions", "1000", "--spot")


@pytest.mark.parametrize("page", ["README.md", "docs/planner.md"])
def test_the_pages_show_what_plan_prints(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = (Path(__file__).parents[3] / page).read_text()
    [(command, shown)] = re.findall(r"^\$ suanli (plan .*)\n((?:.*\n)*?)```", text, re.MULTILINE)
    assert answer(capsys, *command.split()) == shown
