import pytest
from answers import answer, document

pytestmark = pytest.mark.usefixtures("here")


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
