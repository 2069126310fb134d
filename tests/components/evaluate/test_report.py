"""What the evaluation report says of a simple method beside the model."""

import pytest

from components.evaluate import report
from components.evaluate.gate import Decision


def page(values: dict[str, float], baseline: report.Baseline | None) -> str:
    return report.page(
        Decision(()), values, {}, [], None, None, baseline, [], metric="accuracy", details={}, latency={}
    )


@pytest.mark.parametrize(
    ("ours", "theirs", "better", "said"),
    [
        (
            0.8,
            0.9,
            {"accuracy": "max"},
            "The model is not ahead of the baseline, a rule: accuracy 0.8000 against 0.9000.",
        ),
        (0.9, 0.8, {"accuracy": "max"}, "The model is ahead of the baseline, a rule: accuracy 0.9000 against 0.8000."),
        (0.9, 0.9, {"accuracy": "max"}, "The model is not ahead of the baseline"),
        (0.2, 0.3, {"accuracy": "min"}, "The model is ahead of the baseline"),
        (0.2, 0.3, {}, "The model is not ahead of the baseline"),
    ],
)
def test_it_is_said_plainly_which_is_ahead(ours: float, theirs: float, better: dict[str, str], said: str) -> None:
    html = page({"accuracy": ours, "loss": 0.5}, report.Baseline("a rule", {"accuracy": theirs}, better))
    assert said in html
    assert f">{theirs:.4f}</td>" in html


def test_without_a_baseline_nothing_is_said_of_one() -> None:
    assert "baseline" not in page({"accuracy": 0.9}, None).partition("<main")[2]


def test_a_baseline_without_the_paired_metric_is_compared_by_what_both_have() -> None:
    html = page({"accuracy": 0.9, "loss": 0.5}, report.Baseline("a rule", {"loss": 0.7}, {"loss": "min"}))
    assert "The model is ahead of the baseline, a rule: loss 0.5000 against 0.7000." in html
