from pathlib import Path

import pytest
from answers import answer, document

pytestmark = pytest.mark.usefixtures("here")


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
