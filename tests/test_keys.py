"""What a cache key and an image's tag cover: the files that decide a step's result, and no others."""

import json
import shutil
from pathlib import Path

import pytest
from places import Place

from components.core import cache, sources
from components.core.choices import Room
from components.steps import STEPS
from pipelines import experiment
from pipelines.compile import compiler
from pipelines.images import names

CHOSEN: dict[Room, str] = {"data": "digits", "tasks": "image_classification", "models": "cnn"}
EVERY = set(STEPS)
# Most trainings stand on 9,500 to 10,300; an object detector of a TFDS directory is the largest.
LINES = 10_900


def keys(inputs: Path) -> dict[str, str]:
    """Step -> the digest of its key in a run of digits, whose choices are named by sections and by inputs."""
    for artifact, index in (("examples", "examples.json"), ("trained", "training.json")):
        (inputs / artifact).mkdir(parents=True, exist_ok=True)
        (inputs / artifact / index).write_text(json.dumps({"source": "digits", "name": "cnn", "task": CHOSEN["tasks"]}))
    sections = experiment.load("digits").experiment.sections()
    examples, trained = (Place(str(inputs / artifact)) for artifact in ("examples", "trained"))
    calls = {
        "prepare": ({"data": sections["data"]}, {}),
        "train": ({"model": sections["model"], "training": sections["training"]}, {"examples": examples}),
        "evaluate": ({"evaluation": sections["evaluation"]}, {"examples": examples, "trained": trained}),
        "export": ({"export": sections["export"]}, {"examples": examples, "trained": trained}),
    }
    return {step: cache.entry_name(cache.key_of(step, *call, "")) for step, call in calls.items()}


def tags() -> dict[str, str]:
    return {step: compiler.image_tag(step, CHOSEN) for step in STEPS}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the sources, which keys and tags are made of."""
    folder = tmp_path / "checkout"
    for part in ("components", "images", "pipelines", "requirements"):
        shutil.copytree(sources.ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(sources, "ROOT", folder)
    return folder


@pytest.mark.parametrize(
    ("edited", "changed"),
    [
        ("components/core/errors.py", EVERY),
        ("components/storage/local.py", EVERY),
        ("components/prepare/writer.py", {"prepare"}),
        ("components/train/logic.py", {"train"}),
        ("components/evaluate/gate.py", {"evaluate"}),
        ("components/export/logic.py", {"export"}),
        ("components/registry/pointer.py", {"evaluate", "export"}),
        ("components/data/digits.py", {"prepare"}),
        ("components/data/tfds.py", set()),
        ("components/models/cnn.py", {"train", "evaluate", "export"}),
        ("components/models/resnet.py", set()),
        ("components/tasks/image_classification/__init__.py", EVERY),
        ("components/tasks/image_classification/examples.py", EVERY),
        ("components/tasks/image_classification/training.py", {"train"}),
        ("components/tasks/image_classification/evaluation.py", {"evaluate", "export"}),
        ("components/tasks/image_classification/report.py", {"evaluate", "export"}),
        ("components/tasks/image_classification/serving.py", {"export"}),
        *((f"components/tasks/translation/{role}.py", set()) for role in ("examples", "training", "report", "serving")),
        ("components/layers/attention.py", set()),
        ("components/steps.py", set()),
        # New files.
        ("components/data/another.py", set()),
        ("components/models/another.py", set()),
        ("components/tasks/another/__init__.py", set()),
        ("components/tasks/another/report.py", set()),
        ("components/layers/another.py", set()),
        ("components/another/logic.py", set()),
        ("pipelines/compile/compiler.py", set()),
        ("images/README.md", set()),
        ("requirements/gpu.txt", set()),
    ],
)
def test_an_edit_changes_the_keys_and_tags_of_the_steps_whose_result_it_may_change(
    edited: str, changed: set[str], checkout: Path, tmp_path: Path
) -> None:
    before = keys(tmp_path / "inputs"), tags()
    assert (checkout / edited).exists() == ("another" not in edited), "the case names a file of ours"
    (checkout / edited).parent.mkdir(exist_ok=True)
    with (checkout / edited).open("a") as stream:
        stream.write("\n# an edit\n")
    after = keys(tmp_path / "inputs"), tags()
    assert [{step for step in STEPS if old[step] != new[step]} for old, new in zip(before, after, strict=True)] == [
        changed,
        changed,
    ]


# A key has the versions that are installed: an image is built from the lock file, but a machine may differ from it.
@pytest.mark.parametrize("recipe", ["images/Dockerfile", "images/install", "requirements/cpu.txt"])
def test_what_an_image_is_built_by_is_in_every_tag_and_in_no_key(recipe: str, checkout: Path, tmp_path: Path) -> None:
    before = keys(tmp_path / "inputs"), tags()
    with (checkout / recipe).open("a") as stream:
        stream.write("\n# an edit\n")
    assert keys(tmp_path / "inputs") == before[0]
    assert not set(tags().values()) & set(before[1].values())


def test_the_same_sources_give_the_same_tags_on_another_path(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = tags()
    monkeypatch.undo()
    assert tags() == there


def test_every_task_s_training_stands_on_few_lines() -> None:
    """Before a task had files of its own for each step: 100 files and 13,000 lines."""
    for chosen in (sources.chosen_in(experiment.load(name).experiment.sections()) for name in experiment.names()):
        lines = sum(
            len(path.read_text().splitlines()) for path in sources.closure(*sources.modules_of("train", chosen))
        )
        assert lines <= LINES, chosen


def test_images_have_the_tags_of_all_that_can_be_chosen() -> None:
    every = [sources.chosen_in(experiment.load(name).experiment.sections()) for name in experiment.names()]
    # A file of one's own may name any source with any task; so may --set.
    every += [{**CHOSEN, "data": "tfds", "tasks": "translation", "models": "seq2seq_transformer"}]
    assert {compiler.image_tag(step, chosen) for step in STEPS for chosen in every} <= set(names.tags("cpu"))
    assert {compiler.image_tag("train", chosen, "gpu") for chosen in every} <= set(names.tags("gpu"))
    assert all(tag.startswith("train-") for tag in names.tags("gpu"))
    assert len(set(names.tags("cpu"))) == len(names.tags("cpu"))
