import io
from typing import Any

import pytest

from pipelines.local import display

RECORD: dict[str, Any] = {"steps": {}, "metrics": {}, "status": "succeeded", "seconds": 100.0}


@pytest.mark.parametrize(
    ("training", "said"),
    [
        (
            {"goodput": 0.7, "attempts": 2, "seconds_steps": 70.0, "seconds_startup": 20.0, "seconds_recomputed": 10.0},
            "training: 70% of 100 s in kept steps, 2 attempts; startup 20%, recomputed 10%\n",
        ),
        ({"examples_per_second": 900.0}, ""),
    ],
)
def test_a_run_s_summary_tells_where_its_training_time_went(training: dict[str, Any], said: str) -> None:
    stream = io.StringIO()
    display.summary({**RECORD, "training": training}, "runs/one", stream)
    text = stream.getvalue()
    assert said in text and ("kept steps" in text) == bool(said)
