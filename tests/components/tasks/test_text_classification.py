"""Texts on their way from a source to a network, what is reported of them, and a simple method beside the network."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markupsafe import Markup
from places import Place

from components.core.errors import StepError
from components.core.examples import PreparedData
from components.data import Facts, movie_reviews, text_file, text_folder, tfds, tfds_directory
from components.models import transformer
from components.prepare.logic import prepare
from components.tasks import text_classification as task
from components.tasks.contract import Task
from components.text import texts, words

task_for = partial(Task, "text_classification")

# TFDS 4.9.10 reads its own description by a call that protobuf 6 deprecates.
pytestmark = pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning")

INFO = {"classes": ["bad", "good"], "sources": ["press", "people"], "longest": 200}
MARKED = b"<script>alert(1)</script> \x1b[31m good \xe2\x80\xae"


def review(number: int) -> str:
    """A text that tells its label, number % 2, by a word."""
    draw = np.random.default_rng(number)
    filler = " ".join(draw.choice(["the", "a", "film", "plot", "acting"], 1 + number % 9))
    return f"{filler} {('awful', 'great')[number % 2]} {number}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 400 texts, one of them in two places, and a bad one of each kind.

    The test split is official.
    """
    root = tmp_path_factory.mktemp("texts")
    for number in range(400):
        path = root / ("train" if number < 300 else "test") / ("bad", "good")[number % 2] / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(review(number))
    (root / "train/bad/again.txt").write_text(review(300))
    for name, content in {"empty": b"", "long": b"x" * 2**20, "latin": b"caf\xe9", "wide": b"a\0b\0"}.items():
        (root / f"train/bad/{name}.txt").write_bytes(content)
    return root


@pytest.fixture(scope="module")
def written(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where prepare has left examples and report."""
    root = tmp_path_factory.mktemp("prepared")
    settings = text_folder.Settings(folder=str(folder), split=(0.9, 0.1, 0.0), quarantine=4)
    prepare(
        settings.parameters(), str(root / "store"), "", Place(str(root / "examples")), Place(str(root / "report.html"))
    )
    return root


@pytest.fixture
def examples(written: Path) -> PreparedData:
    return PreparedData.read(written / "examples")


def batches(examples: PreparedData, split: str) -> Iterator[dict[str, np.ndarray]]:
    return iter(examples.batches(split, 64).as_numpy_iterator())


def test_every_good_text_arrives_with_its_label_and_words(examples: PreparedData) -> None:
    assert examples.splits["test"] == 100
    # The one that test has, too, is left out, and the four bad ones are set aside.
    assert examples.splits["train"] + examples.splits["validation"] == 300
    found = {}
    for split in examples.splits:
        for batch in batches(examples, split):
            found |= dict(zip(batch["text"].tolist(), zip(batch["label"], batch["words"], strict=True), strict=True))
    assert len(found) == 400
    for number in range(400):
        text = review(number).encode()
        assert found[text] == (number % 2, len(text.split()))


def test_the_report_tells_what_was_set_aside(written: Path) -> None:
    page = (written / "report.html").read_text()
    for told in ("latin.txt", "not UTF-8", "long.txt", "100,001 bytes or more", "the text is empty", "NUL byte"):
        assert told in page


def test_the_report_shows_texts_of_each_class_and_runs_none_of_them() -> None:
    profile = task_for(INFO).examples.summary()
    stored = task_for(INFO).examples.to_records(
        [{"text": MARKED, "label": 1, "source": 1}, {"text": "so so", "label": 0, "source": 0}]
    )
    profile.update(stored, np.array([1, 2], np.uint64), np.array([0, 0]))
    page = "".join(map(str, profile.sections(["train", "test"])))
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)" in page
    assert "\x1b" not in page and "\u202e" not in page and r"\u001b[31m" in page
    assert "so so" in page and ">people<" in page and ">2 to 3<" in page


def test_bad_texts_end_the_step_in_one_line_unless_some_may_be_set_aside(folder: Path, tmp_path: Path) -> None:
    settings = text_folder.Settings(folder=str(folder), quarantine=3)
    with pytest.raises(StepError, match="4 bad examples, 3 are allowed") as failure:
        prepare(
            settings.parameters(), str(tmp_path), "", Place(str(tmp_path / "examples")), Place(str(tmp_path / "report"))
        )
    assert "\n" not in str(failure.value)


def test_the_vocabulary_is_counted_on_the_train_split_alone(examples: PreparedData) -> None:
    found = task_for(examples.info).training.arguments(transformer.Settings(), examples)
    trained = [text for batch in batches(examples, "train") for text in batch["text"].tolist()]
    assert found == {"vocabulary": words.build_vocabulary(trained, 20_000), "units": 2}
    held = {str(number) for number in range(301, 400)}
    assert not held & set(found["vocabulary"])
    assert (
        task_for(examples.info).training.arguments(transformer.Settings(vocabulary_size=3), examples)["vocabulary"]
        == found["vocabulary"][:3]
    )


def test_a_network_is_fed_the_same_in_the_graph_and_on_the_host(examples: PreparedData) -> None:
    assets = {"vocabulary": ["great", "awful", "the"], "length": 6}
    fed = examples.batches("test", 64).map(task_for(examples.info).training.input_fn(assets))
    for (inputs, labels), batch in zip(fed.as_numpy_iterator(), batches(examples, "test"), strict=True):
        np.testing.assert_array_equal(inputs, task_for(examples.info).evaluation.encode(batch["text"], assets))
        np.testing.assert_array_equal(labels, batch["label"])


def test_the_baseline_learns_from_train_and_is_judged_on_test(examples: PreparedData) -> None:
    title, found = task_for(examples.info, task.Settings(baseline="tfidf_logistic")).evaluation.baseline(examples)
    assert title == "TF-IDF and logistic regression (scikit-learn)"
    assert found["accuracy"] > 0.95 and set(found) == set(task.Settings.metrics)


def test_a_baseline_of_one_class_is_refused_in_one_line(tmp_path: Path) -> None:
    for name, text in {
        "train/bad/1": "awful",
        "train/good/2": "great",
        "test/good/2": "great",
        "test/bad/3": "x",
    }.items():
        path = tmp_path / "texts" / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    # What test has, too, is taken from train: there the class good is empty then.
    settings = text_folder.Settings(folder=str(tmp_path / "texts"), split=(1.0, 0.0, 0.0))
    places = Place(str(tmp_path / "examples")), Place(str(tmp_path / "report"))
    prepare(settings.parameters(), str(tmp_path / "store"), "", *places)
    assert "Few or no training examples of: good" in (tmp_path / "report").read_text()
    with pytest.raises(StepError, match="the train split has one class only") as failure:
        task_for({}, task.Settings(baseline="tfidf_logistic")).evaluation.baseline(
            PreparedData.read(tmp_path / "examples")
        )
    assert "\n" not in str(failure.value)


def test_only_a_baseline_that_there_is_can_be_asked_for() -> None:
    with pytest.raises(ValueError, match="unknown baseline 'tfidf'; did you mean tfidf_logistic"):
        task.Settings(baseline="tfidf")


# --- judging ---------------------------------------------------------------------------------------------------------

FOUND = {"logits": np.array([[2, 0], [3, 0], [0, 1], [0, 9]], np.float32)}
TRUTH = {
    "label": np.array([0, 1, 1, 0]),
    "key": np.array([b"a", b"b", b"c", b"d"]),
    "source": np.array([0, 1, 1, 1]),
    "words": np.array([5, 10, 20, 40], np.float32),
}


def test_slices_are_by_class_by_length_and_by_source() -> None:
    found = {name: mask.tolist() for name, mask in task_for(INFO, task.Settings()).evaluation.slices(TRUTH).items()}
    assert found["class bad"] == [True, False, False, True]
    assert found["words lowest quarter"] == [True, False, False, False]
    assert found["words highest quarter"] == [False, False, False, True]
    assert found["source press"] == [True, False, False, False]
    assert found["source people"] == [False, True, True, True]
    one = task_for(INFO | {"sources": ["all"]}, task.Settings()).evaluation.slices(TRUTH | {"source": np.zeros(4, int)})
    assert not any(name.startswith("source") for name in one)


def test_the_report_shows_the_surest_mistakes_as_plain_text() -> None:
    settings = task.Settings(resamples=100)
    (title, sure), *_ = task_for({}, task.Settings()).evaluation.worst_examples(FOUND, TRUTH).items()
    assert sure.argmax() == 3 and sure[0] == sure[2] == 0
    scores = task_for(INFO, settings).evaluation.score(FOUND, TRUTH)
    intervals = task_for({}, settings).evaluation.confidence_intervals(FOUND, TRUTH, scores)
    parts = task_for(INFO, settings).report.figures(FOUND, TRUTH, intervals, {title: [(3, MARKED + b"long " * 1000)]})
    page = "".join(map(str, parts))
    assert "bad, taken for good (9" in Markup(page).striptags() and "&lt;script&gt;" in page and r"\u202e" in page
    assert "<script>" not in page and "\x1b" not in page and page.count("long ") < 200


# --- what is predicted -----------------------------------------------------------------------------------------------


def test_texts_to_predict_come_from_a_file_a_folder_or_rows(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "deep/b.txt").write_text("two")
    (tmp_path / "c.csv").write_text("id,text\n1,three\n2,four\n")
    (tmp_path / "d.jsonl").write_text('{"text": "five"}\n')
    found = {
        place: [text for _, text in task_for(INFO).serving.read_inputs(str(tmp_path / place))]
        for place in ("", "a.txt", "c.csv", "d.jsonl")
    }
    assert found == {"": [b"one", b"two"], "a.txt": [b"one"], "c.csv": [b"three", b"four"], "d.jsonl": [b"five"]}
    assert task_for(INFO).serving.read_inputs(str(tmp_path / "c.csv"))[1][0].endswith("c.csv row 2")


def test_a_table_to_predict_is_read_in_the_column_that_was_trained_on(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text;review;label\nno;fine;x\nno;bad;y\n")
    settings = text_file.Settings(file=str(tmp_path / "a.csv"), text="review")
    info = text_file.source(settings).info
    assert [text for _, text in task_for(info).serving.read_inputs(settings.file)] == [b"fine", b"bad"]
    (tmp_path / "b.csv").write_text("text\nno\n")
    with pytest.raises(StepError, match="has no column 'review'"):
        task_for(info).serving.read_inputs(str(tmp_path / "b.csv"))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", b"", "a.txt: the text is empty"),
        ("a.txt", b"x" * 2**20, "a.txt: the text has 201 bytes or more"),
        ("a.txt", b"\xff", "a.txt: the text is not UTF-8"),
        ("a.csv", b"text\nfine\n\xff\n", "a.csv row 2: the text is not UTF-8"),
        ("a.csv", b"id\n1\n", "has no column 'text'"),
        ("a.jsonl", b'{"text": 1}', "row 1 has int, not a text, in 'text'"),
        ("deep/a.md", b"x", "has no texts (.txt)"),
        ("b/a.md", b"x", "no.txt cannot be read"),
    ],
)
def test_what_is_no_text_to_predict_is_told_in_one_line(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    place = {"deep": path.parent, "b": tmp_path / "no.txt"}.get(path.parent.name, path)
    with pytest.raises(StepError) as failure:
        task_for(INFO).serving.read_inputs(str(place))
    assert said in str(failure.value) and "\n" not in str(failure.value)


def test_a_typed_text_is_judged_like_any_other() -> None:
    assert task_for(INFO).serving.from_text("fine") == b"fine"
    with pytest.raises(StepError, match="the text is empty"):
        task_for(INFO).serving.from_text(" ")


# --- before anything is prepared -------------------------------------------------------------------------------------


def test_what_a_network_is_built_of_is_known_from_settings_and_facts() -> None:
    data = movie_reviews.Settings()
    found = task.expected_arguments(transformer.Settings(vocabulary_size=7), data, movie_reviews.facts(data))
    assert len(set(found["vocabulary"])) == 7 and found["units"] == 2
    with pytest.raises(StepError, match="give it: --units N"):
        task.expected_arguments(transformer.Settings(), text_file.Settings(file="/nowhere.csv"), None)
    facts = tfds.facts(tfds.Settings(dataset="imdb_reviews", task="text_classification"))
    assert facts == Facts({"train": 25_000, "test": 25_000}, 2)


def test_of_a_tfds_data_set_its_text_and_label_are_taken() -> None:
    from tensorflow_datasets import features as kinds

    label, settings = (
        kinds.ClassLabel(names=["neg", "pos"]),
        tfds.Settings(dataset="imdb_reviews", task="text_classification"),
    )
    for name, features in {
        "text": {"text": kinds.Text(), "label": label},
        "sentence": {"idx": kinds.Scalar(np.int32), "sentence": kinds.Text(), "label": label},
    }.items():
        reading = task_for({}).examples.from_tfds(features, settings)
        assert reading.info == {"classes": ["neg", "pos"], "sources": ["imdb_reviews"], "longest": texts.MAX_BYTES}
        assert reading.convert({name: b"fine", "label": np.int64(1)}) == {"text": b"fine", "label": 1, "source": 0}
    for wrong, said in (
        ({"text": kinds.Text()}, r"has text \(Text\); none of them can be data\.label"),
        ({"a": kinds.Text(), "b": kinds.Text(), "label": label}, r"set data\.input to a or b$"),
        ({"text": kinds.Text(), "stars": kinds.Scalar(np.float32)}, "none of them can be"),
        ({"text": kinds.Text(), "stars": kinds.Scalar(np.int64)}, r"set data\.label to stars$"),
    ):
        with pytest.raises(ValueError, match=said):
            task_for({}).examples.from_tfds(wrong, settings)


def test_a_network_for_pictures_is_not_one_for_texts() -> None:
    import keras

    inputs = keras.Input((4, 4, 1), dtype="uint8")
    network: Any = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(inputs)))
    assert "has no vocabulary" in task_for(INFO).evaluation.problem(network)
    words = transformer.build(transformer.Settings(length=4, width=4), ["a"], 3)
    assert task_for(INFO).evaluation.problem(words) == "has 3 outputs, the data need 2"


def test_prepared_texts_are_a_tfds_directory_that_can_be_prepared_again(examples: PreparedData) -> None:
    settings = tfds_directory.Settings(directory=examples.directory, task="text_classification")
    source = tfds_directory.source(settings)
    assert source.info["classes"] == ["bad", "good"]
    found = list(source.splits["test"]())
    assert not task_for(source.info).examples.to_records(found).faults
    assert {one["text"]: one["label"] for one in found} == {
        review(number).encode(): number % 2 for number in range(300, 400)
    }
