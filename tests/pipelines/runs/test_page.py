"""The pages of a run: what each of them shows, their look, and whether everybody can use them."""

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import accessibility
import numpy as np
import pytest

from components.core import charts, reports
from components.evaluate import gate, statistics
from components.evaluate import report as evaluation_page
from components.tasks import Threshold, image_classification
from components.tasks._classifier.examples import LabelledSummary
from components.tasks.contract import Task
from components.train import curves
from components.train.settings import TrainingSettings
from pipelines import experiment
from pipelines.compile import targets
from pipelines.runs import folder, navigation, page, record
from pipelines.runs.folder import Run

CSS = (Path(reports.__file__).parent / "templates/page.css").read_text()
HOSTILE = ["<script>alert(1)</script>", "\"'><img src=x onerror=alert(1)>", "\u0645\u0631\u062d\u0628\u0627", "a" * 200]
THOUSAND = [*HOSTILE, *(f"class {number}" for number in range(996))]


def evaluation(names: list[str], examples: int = 400, champion: bool = True) -> str:
    """The evaluation report of a classifier that is right on most of some examples."""
    random = np.random.default_rng(0)
    truth = {"label": random.integers(0, len(names), examples), "key": np.array([b"%d" % n for n in range(examples)])}
    logits = random.normal(0, 1, (examples, len(names))).astype(np.float32)
    logits[np.arange(examples), truth["label"]] += 4
    predicted, settings = {"logits": logits}, image_classification.Settings(min_slice=1, require=("accuracy>=0.5",))
    task = Task("image_classification", {"classes": names, "image_shape": [4, 4, 1]}, settings)
    values = task.evaluation.score(predicted, truth)
    intervals = task.evaluation.confidence_intervals(predicted, truth, values)
    ours = task.evaluation.example_metric(predicted, truth)
    theirs = np.where(np.arange(examples) % 9 == 0, 1 - ours, ours)
    compared = statistics.compare(ours, theirs, 0.05)
    scores = task.evaluation.example_scores(predicted, truth)
    pair = (ours, theirs) if champion else None
    slices = gate.evaluate_slices(task.evaluation.slices(truth), scores, pair, settings)
    worst = task.evaluation.worst_examples(predicted, truth)
    shown = {
        title: [(int(n), np.zeros((4, 4, 1), np.uint8)) for n in np.argsort(-column)[:24] if column[n] > 0]
        for title, column in worst.items()
    }
    return evaluation_page.page(
        gate.Decision((gate.Reason("good", "It is good."),)),
        values,
        intervals.metrics,
        slices,
        gate.worst(slices, "accuracy"),
        evaluation_page.ChampionResults("0123456789ab", {"accuracy": float(theirs.mean())}, compared)
        if champion
        else None,
        evaluation_page.Baseline("a rule", {"accuracy": 0.3}, {"accuracy": "max"}),
        task.report.figures(predicted, truth, intervals, shown),
        metric="accuracy",
        details={"test examples": examples},
        latency={"latency_ms_batch_1": 1.5},
        shares=settings.shares,
        require=(Threshold.model_validate("accuracy>=0.5"),),
        margin=0.02,
        trivial=("always answering 'a'", 0.1),
    )


def training(epochs: int = 12, **changes: Any) -> str:
    history = {name: [1 / (n + 1) for n in range(epochs)] for name in ("accuracy", "loss", "val_accuracy", "val_loss")}
    state = SimpleNamespace(
        epochs=epochs, best_epoch=max(1, epochs - 2), waited=2, history=history, samples=[["a"]] * epochs
    )
    return curves.page(SimpleNamespace(**{**vars(state), **changes}), TrainingSettings(epochs=20), {"model": "cnn"})  # type: ignore[arg-type]


def data(names: list[str]) -> str:
    summary = LabelledSummary(names)
    summary.counts[0] = np.arange(len(names))
    return reports.page(
        "Data", reports.facts({"classes": len(names)}), reports.section("Classes", summary.table(["train"]))
    )


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run that has ended, with its steps' reports."""
    made = folder.create(tmp_path / "runs", "digits")
    values = record.initial(experiment.load("digits"), targets.local(tmp_path / "runs"), "digits", True)
    metrics = {"accuracy": 0.97, "accuracy_low": 0.95, "accuracy_high": 0.99, "loss": 0.1, "latency_ms_batch_1": 4.0}
    ended = {"status": "succeeded", "seconds": 61.0, "metrics": metrics, "accepted": True, "reasons": ["It is good."]}
    steps = {"train": {"state": "succeeded", "seconds": 12.0, "image": "train-0", "peak_mb": 700}}
    made.write({"id": made.id, **values, **ended, "steps": steps})
    written = {
        "prepare": {"report": data(["a", "b", "c"])},
        "train": {"curves": training()},
        "evaluate": {"report": evaluation(["a", "b", "c"]), "reasons": "# Accepted\n"},
        "export": {"card_page": reports.page("Model card: digits")},
    }
    for number, (step, outputs) in enumerate(written.items()):
        (made.folder / "steps").mkdir(exist_ok=True)
        for name, text in outputs.items():
            (made.folder / step).mkdir(exist_ok=True)
            (made.folder / step / name).write_text(text)
        paths = {name: {"path": f"{step}/{name}"} for name in outputs}
        if step == "evaluate":
            (made.folder / "evaluate/verdict").mkdir()
            verdict = {"champion": "0123456789ab", "comparison": {"difference": 0.02}}
            (made.folder / "evaluate/verdict/verdict.json").write_text(json.dumps(verdict))
            paths["verdict"] = {"path": "evaluate/verdict"}
        described = {"step": step, "state": "succeeded", "started": number, "outputs": paths}
        (made.folder / f"steps/{step}.json").write_text(json.dumps(described))
    return made


def pages(run: Run) -> dict[str, str]:
    return {path: (run.folder / path).read_text() for path in navigation.pages(run)}


# --- what everybody can use ------------------------------------------------------------------------------------------


def test_no_page_of_a_run_has_a_serious_fault(run: Run) -> None:
    page.write(run, run.read())
    found = pages(run)
    assert len(found) == 5
    assert {path: faults for path, text in found.items() if (faults := accessibility.faults(text))} == {}


@pytest.mark.parametrize("names", [HOSTILE, THOUSAND, ["a", "b"]], ids=["hostile", "a thousand", "two"])
def test_whatever_classes_are_called_and_however_many_there_are(names: list[str]) -> None:
    for text in (evaluation(names), evaluation(names, champion=False), data(names)):
        assert accessibility.faults(text) == []
        assert text.count("<script>") == 1 and "onerror=alert" not in re.sub(
            r"&#?\w+;", "", text.replace("=x onerror", "")
        )
        assert len(re.sub(r'"data:image[^"]*"', "", text)) < 1_000_000


@pytest.mark.parametrize("epochs", [1, 2, 3000])
def test_a_training_of_any_length_is_shown(epochs: int) -> None:
    text = training(epochs)
    assert accessibility.faults(text) == [] and len(text) < 1_000_000


def test_a_loss_that_is_no_number_interrupts_its_curve() -> None:
    history = {"loss": [8.0, float("nan"), 2.0, 1.0], "val_loss": [float("nan")] * 4}
    text = training(4, history=history)
    assert accessibility.faults(text) == [] and not re.search(r"\bnan\b", text)
    assert text.count("<polyline") == 2 * 2  # on both scales


def test_curves_without_any_number_say_so() -> None:
    assert "no finite values" in charts.lines("loss", [1, 2], {"training": [float("nan")] * 2}, "epoch", None)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_every_text_has_enough_contrast(mode: str) -> None:
    colours = accessibility.modes(CSS)[mode]
    darkest = accessibility.mixed(colours["mark"], colours["ground"], 0.45)
    texts = [
        *((name, colours["ground"]) for name in ("ink", "quiet", "mark", "good", "bad")),
        *((name, colours["band"]) for name in ("ink", "quiet", "mark")),
        ("ink", darkest),
    ]
    assert {pair: ratio for pair in texts if (ratio := accessibility.contrast(colours[pair[0]], pair[1])) < 4.5} == {}
    graphics = {
        name: accessibility.contrast(colours[name], colours["ground"]) for name in ("mark", "second", "quiet", "bad")
    }
    assert min(graphics.values()) >= 3


def test_every_colour_of_a_text_is_one_of_these() -> None:
    named = set(re.findall(r"[{; ](?:color|fill): ([^;}]+)", CSS))
    assert named <= {f"var(--{name})" for name in ("ink", "quiet", "mark", "second", "good", "bad")} | {
        "none !important"
    }
    assert "outline: none" not in CSS and ":focus-visible" in CSS


def test_the_check_itself_finds_faults() -> None:
    good = reports.page("t", reports.table(["a"], [["b"]]))
    assert accessibility.faults(good) == []
    for wrong in (
        good.replace(' scope="col"', ""),
        good.replace("<h1>t</h1>", ""),
        good.replace(' tabindex="0"', ""),
        good.replace(' lang="en"', ""),
        good.replace("</main>", "<img src='data:image/png;base64,'></main>"),
        good.replace("</main>", "<svg></svg></main>"),
        good.replace("</main>", "<h4>deep</h4></main>"),
        good.replace("</main>", "<a href='#nowhere'>x</a></main>"),
        good.replace("</main>", "<input type='text'></main>"),
        good.replace("</main>", "<script src='https://example.com/x.js'></script></main>"),
    ):
        assert accessibility.faults(wrong) != []


# --- navigation ------------------------------------------------------------------------------------------------------


def test_every_page_leads_to_every_other_also_when_the_folder_is_moved(run: Run, tmp_path: Path) -> None:
    page.write(run, run.read())
    moved = tmp_path / "elsewhere"
    shutil.move(run.folder, moved)
    found = navigation.pages(Run(moved))
    assert list(found.values()) == ["Run", "Data", "Training", "Evaluation", "Card"]
    for path in found:
        nav = re.search(r"<nav.*?</nav>", (moved / path).read_text(), re.DOTALL)
        assert nav and nav[0].count("aria-current") == 1 and "digits" in nav[0] and run.id in nav[0]
        links = re.findall(r'href="([^"]+)"', nav[0])
        assert {(moved / path).parent.joinpath(link).resolve() for link in links} == {moved / other for other in found}


def test_a_failed_run_has_the_pages_that_there_are(run: Run) -> None:
    for step in ("train", "evaluate", "export"):
        (run.folder / f"steps/{step}.json").unlink()
    cause = {"step": "train", "kind": "data", "message": "bad", "advice": "", "details": "a\nb", "log": "log/train.log"}
    page.write(run, run.read() | {"status": "failed", "metrics": {}, "accepted": None, "reasons": [], "cause": cause})
    assert list(navigation.pages(run).values()) == ["Run", "Data"]
    assert all(accessibility.faults(text) == [] for text in pages(run).values())


def test_a_report_of_older_code_gets_the_links_too(run: Run) -> None:
    (run.folder / "prepare/report").write_text("<!doctype html><html><body>\n<h1>Data</h1></body></html>")
    page.write(run, run.read())
    assert '<body><nav aria-label="Pages of this run">' in (run.folder / "reports/data.html").read_text()


def test_the_champion_s_card_is_copied_where_it_is_on_this_machine(run: Run) -> None:
    card = Path(run.read()["target"]["registry"], "digits/versions/0123456789ab/card.html")
    card.parent.mkdir(parents=True)
    card.write_text(reports.page("Model card: digits"))
    page.write(run, run.read())
    assert navigation.pages(run)["reports/champion.html"] == "Champion"
    assert "../reports/champion.html" in (run.folder / "reports/data.html").read_text()


def test_the_champion_s_curve_is_drawn_beside_the_run_s(run: Run) -> None:
    other = Run(run.root / "20250101-000000-digits")
    for each, epochs in ((run, 3), (other, 5)):
        (each.folder / "trained").mkdir(parents=True)
        history = {"loss": [1.0] * epochs, "val_loss": [1 / (n + 1) for n in range(epochs)]}
        (each.folder / "trained/history.json").write_text(json.dumps(history))
        outputs = {"trained": {"path": "trained"}, "curves": {"path": "train/curves"}}
        (each.folder / "steps").mkdir(exist_ok=True)
        step = {"step": "train", "state": "succeeded", "started": 1, "outputs": outputs}
        (each.folder / "steps/train.json").write_text(json.dumps(step))
    (other.folder / "run.json").write_text("{}")
    registry = Path(run.read()["target"]["registry"], "digits")
    registry.mkdir(parents=True)
    entry = {"version": "0123456789ab", "by": "publish", "run": other.id}
    (registry / "champion.json").write_text(json.dumps({"history": [entry]}))
    page.write(run, run.read())
    text = pages(run)["reports/learning-curves.html"]
    assert "<h3>validation loss</h3>" in text and "champion 0123456789ab</li>" in text
    assert text.count('polyline class="theirs"') == 2 and accessibility.faults(text) == []
    shutil.rmtree(other.folder)
    page.write(run, run.read())
    assert "Beside the champion" not in pages(run)["reports/learning-curves.html"]
    # A damaged registry must not stop the page of a run that has succeeded.
    for damaged in ("", "[]", '{"history": null}', '{"history": [3]}'):
        (registry / "champion.json").write_text(damaged)
        page.write(run, run.read())


# --- content ---------------------------------------------------------------------------------------------------------


def test_the_verdict_stands_on_one_axis_with_the_champion_and_the_bound(run: Run) -> None:
    page.write(run, run.read())
    verdict = re.search(r'<div class="verdict">.*?</ul></div>', pages(run)["index.html"], re.DOTALL)
    assert verdict
    for text in ("97.00\xa0%", "champion 0123456789ab", "95.00\xa0%", "required: &gt;= 90.00\xa0%", "to 99.00\xa0%"):
        assert text in verdict[0], text
    assert verdict[0].count('class="bound"') == 3  # a line through both rows, and its key


def test_a_run_s_page_is_small_and_shows_changed_settings_before_the_others(run: Run) -> None:
    page.write(run, run.read())
    text = pages(run)["index.html"]
    assert len(text.encode()) < 300_000
    assert (
        text.index("training.batch_size")
        < text.index("settings with their defaults")
        < text.index("training.optimizer")
    )
    assert "latency" not in re.search(r"<h2>Metrics</h2>.*?</table>", text, re.DOTALL)[0]  # type: ignore[index]


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"epochs": 20}, "Training stopped after all 20 epochs. The model has the weights of epoch 18"),
        (
            {"epochs": 12},
            "Training stopped early, after 12 of 20 epochs: the validation loss had not improved for 2",
        ),
    ],
)
def test_the_training_page_says_why_it_stopped(state: dict[str, int], said: str) -> None:
    assert said in training(**state)
