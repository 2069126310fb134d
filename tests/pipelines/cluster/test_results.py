import json
from pathlib import Path
from typing import Any

import pytest

from components.core.failure import Failure
from pipelines.cluster import results

FILES: dict[str, Any] = {
    "evaluate/1f/metrics": {"accuracy": 0.91},
    "evaluate/1f/verdict/verdict.json": {"accepted": True, "reasons": ["no champion"]},
    "train/2e/metrics": {"examples_per_second": 900.0},
    "export/3d/benchmark": {"bytes": 1},
}


def laid(root: Path) -> None:
    for name, values in FILES.items():
        path = root / "training-digits" / "run-1" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))


def test_what_the_launcher_uploaded_is_found(tmp_path: Path) -> None:
    laid(tmp_path)
    assert results.read(str(tmp_path), "training-digits", "run-1") == {
        "metrics": {"accuracy": 0.91},
        "training": {"examples_per_second": 900.0},
        "accepted": True,
        "outcome": None,
        "reasons": ["no champion"],
        "failures": {},
    }


def test_what_a_step_has_told_of_its_failure_is_found(tmp_path: Path) -> None:
    told = {"step": "prepare", "kind": "data", "message": "no pictures", "advice": "add some", "traceback": ""}
    place = tmp_path / "training-digits" / "run-1" / "prepare" / "4c"
    place.mkdir(parents=True)
    (place / "error.json").write_text(json.dumps(told))
    assert results.read(str(tmp_path), "training-digits", "run-1")["failures"] == {"prepare": Failure(**told)}


@pytest.mark.parametrize("root", ["minio://mlpipeline", "", "/no/such/folder"])
def test_where_nothing_can_be_read_nothing_is_claimed(root: str) -> None:
    assert results.read(root, "training-digits", "run-1")["metrics"] == {}


def test_a_broken_file_is_no_result(tmp_path: Path) -> None:
    laid(tmp_path)
    (tmp_path / "training-digits" / "run-1" / "evaluate" / "1f" / "metrics").write_text("{")
    assert results.read(str(tmp_path), "training-digits", "run-1")["metrics"] == {}
