import re
import subprocess
import sys
from pathlib import Path

import pytest
from answers import answer, document

from pipelines.cli.plan import finite, flop, number

pytestmark = pytest.mark.usefixtures("here")


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
