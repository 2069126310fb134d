"""A whole run over data that mean harm: names and texts with markup, control characters and secrets in them."""

import json
import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markdown_it import MarkdownIt
from PIL import Image

from components.core import plain

pytestmark = pytest.mark.slow

# Slashes cannot be in a folder's name.
CLASSES = ["<script>alert(1)<", "<img src=x onerror=alert(1)>", "a|b `c` [d](javascript:alert(1)) $x^2$"]
TOKEN = "ghp_ExampleExampleExampleExampleExample1"
SECRETS = [TOKEN, "ya29.a0AfH6SMBq9xkw3lTr0bZ5yExample", "AIzaSyD-ExampleExampleExampleExample012"]
EXPERIMENT = f'''"""Never let {SECRETS[1]} or <script>alert(2)</script> be seen."""

from components.data import image_folder
from components.export.settings import ExportSettings
from components.models import cnn
from components.tasks import image_classification
from components.train.settings import TrainingSettings
from pipelines.experiment import Experiment

EXPERIMENT = Experiment(
    data=image_folder.Settings(folder="pictures", image_shape=(12, 12, 1), split=(0.6, 0.2, 0.2), quarantine=5),
    model=cnn.Settings(filters=(4,), dense=8),
    evaluation=image_classification.Settings(min_slice=1),
    training=TrainingSettings(epochs=1, batch_size=16),
    export=ExportSettings(formats=("litert",)),
)
'''
# Where the links of a run's pages lead.
FOLDERS = ("reports/", "../reports/", "artifacts/", "log/")


class Page(HTMLParser):
    """The elements of a page, its attributes that run or fetch something, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: dict[str, int] = {}
        self.harmful: list[tuple[str, str, str | None]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        for name, value in attrs:
            told = (value or "").strip().lower()
            fetches = name in {"src", "href", "xlink:href", "action"} and not (
                told.startswith(("data:image/png", "#", "http://www.w3.org/", *FOLDERS))
                or told in {"pipeline.yaml", "run.json", "index.html", "../index.html"}
            )
            if name.startswith("on") or told.startswith("javascript:") or fetches:
                self.harmful.append((tag, name, value))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that has ended well."""
    folder = tmp_path_factory.mktemp("hostile")
    random = np.random.default_rng(0)
    for label, name in enumerate(CLASSES):
        (folder / "pictures" / name).mkdir(parents=True)
        for number in range(40):
            pixels = np.clip(random.normal(60 + 70 * label, 25, (12, 12)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "pictures" / name / f"{number}.png")
    bad = f"\x1b[31m<b>token={TOKEN}\x9b2J.png"
    (folder / "pictures" / CLASSES[0] / bad).write_bytes(b"no picture")
    (folder / "hostile.py").write_text(EXPERIMENT)
    environment = {**os.environ, "SUANLI_RUNS": str(folder / "runs"), "SOME_KEY": SECRETS[2], "WANDB_API_KEY": TOKEN}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pipelines",
            "run",
            str(folder / "hostile.py"),
            "--set",
            f"data.folder={folder}/pictures",
        ],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (folder / "output.txt").write_text(done.stdout + done.stderr)
    return (folder / "runs/latest").resolve()


def test_it_accepted_a_model_and_wrote_every_page(run: Path) -> None:
    record: dict[str, Any] = json.loads((run / "run.json").read_text())
    assert record["status"] == "succeeded" and record["accepted"]
    assert len(list(run.rglob("*.html"))) >= 6 and len(list(run.rglob("*.md"))) >= 2


def test_no_element_of_any_page_comes_from_a_name(run: Path) -> None:
    shown = 0
    for path in run.rglob("*.html"):
        page = Page(path.read_text())
        assert page.tags.get("script", 0) <= 1 and page.harmful == [], path
        # What a page's pictures are is inside it.
        assert page.tags.get("img", 0) == path.read_text().count('<img src="data:image/png;base64,'), path
        shown += all(name in page.text for name in CLASSES)
    assert shown >= 3, "the data report, the evaluation and the model card name the classes as they are"


def test_no_markup_of_the_model_card_comes_from_a_name(run: Path) -> None:
    for path in run.rglob("*.md"):
        page = Page(MarkdownIt("commonmark", {"html": True}).enable("table").render(path.read_text()))
        assert set(page.tags) <= {
            "h1",
            "h2",
            "p",
            "ul",
            "li",
            "table",
            "thead",
            "tbody",
            "tr",
            "th",
            "td",
            "h3",
            "pre",
            "code",
        }, path
    card = (run / "reports/model-card.md").read_text()
    assert all(name in Page(MarkdownIt("commonmark").enable("table").render(card)).text for name in CLASSES)


def test_no_file_of_the_run_holds_a_secret(run: Path) -> None:
    files = [path for root in (run, run.parent / "registry") for path in root.rglob("*") if path.is_file()]
    assert len(files) > 20
    for path in files:
        content = path.read_bytes()
        for secret in SECRETS:
            assert secret.encode() not in content, path


def test_nothing_that_it_printed_or_logged_moves_a_cursor(run: Path) -> None:
    texts = [run.parents[1] / "output.txt", *(run / "log").glob("*.log")]
    for path in texts:
        for line in path.read_text().splitlines():
            assert plain.is_visible(line.replace("\t", " ")), path
    assert any("[removed: " in path.read_text() for path in run.rglob("*") if path.suffix in {".json", ".html"})


def test_predict_says_the_names_as_they_are(run: Path) -> None:
    pictures = run.parents[1] / "pictures" / CLASSES[1]
    environment = {**os.environ, "SUANLI_RUNS": str(run.parent)}
    command = [sys.executable, "-m", "pipelines", "predict", "hostile", str(pictures / "1.png")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["label"] in CLASSES
