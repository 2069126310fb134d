"""Text generation: what is a text, windows, scores, the baseline, and continuations in every runtime."""

import csv
import math
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from components.core.errors import StepError
from components.core.examples import PreparedData
from components.core.inference import Predictor, traced
from components.data import movie_reviews
from components.models import causal_transformer
from components.tasks import text_generation as task
from components.tasks.contract import Task
from components.tasks.text_generation import evaluation, training
from components.text import sampling

task_for = partial(Task, "text_generation")

LENGTH, BEGIN = 16, 256
ASSETS = {"tokens": "bytes", "length": LENGTH}
INFO: dict[str, Any] = {"sources": ["imdb", "rotten_tomatoes"], "longest": 100_000}
TEXTS = [b"short", b"exactly 15 long", b"exactly 16 long!", "größer als ein Fenster, 算力".encode(), b"x" * 300]


@pytest.fixture(scope="module")
def network() -> Any:
    import keras

    keras.utils.set_random_seed(1)
    settings = causal_transformer.Settings(length=LENGTH, width=16, layers=1, heads=2, ngrams=(2, 3), buckets=64)
    model = causal_transformer.build(settings)
    random = np.random.default_rng(0)
    model.set_weights([weight + random.normal(0, 0.3, weight.shape) for weight in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def predictor(network: Any) -> Predictor:
    return Predictor(traced(network), network)


def _batch(texts: list[bytes]) -> dict[str, np.ndarray]:
    column = np.empty(len(texts), object)
    column[:] = texts
    characters = np.array([len(text.decode()) for text in texts])
    sources = np.arange(len(texts)) % 2
    return {"text": column, "key": column, "source": sources, "characters": characters}


# --- examples --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b"", "the text is empty"),
        (b" \n\t", "the text is empty"),
        (b"a\0b", "has a NUL byte"),
        (b"caf\xe9", "is not UTF-8 (byte 3)"),
        ("\ud800", "is not UTF-8"),
        (b"x" * 1_000_000, "has 1,000,000 bytes or more, at most 100,000 are read"),
    ],
    ids=["empty", "blank", "NUL", "Latin-1", "half a character", "1 MB"],
)
def test_what_is_no_text_is_told_in_one_line(text: bytes | str, fault: str) -> None:
    stored = task_for(INFO).examples.to_records([{"text": "good"}, {"text": text}])
    assert list(stored.contents) == [b"good"]
    assert list(stored.faults) == [1]
    assert fault in stored.faults[1]


def test_an_example_knows_its_source_and_its_characters() -> None:
    stored = task_for(INFO).examples.to_records([{"text": "größer", "source": 1}, {"text": b"abc"}])
    assert stored.contents == ["größer".encode(), b"abc"]
    assert np.asarray(stored.features["source"]).tolist() == [1, 0]
    assert np.asarray(stored.features["characters"]).tolist() == [6, 3]


# --- training --------------------------------------------------------------------------------------------------------


def test_the_graph_and_the_host_make_the_same_inputs() -> None:
    import tensorflow as tf

    inputs, targets = task_for(INFO).training.input_fn(ASSETS)({"text": tf.constant(TEXTS)})
    np.testing.assert_array_equal(inputs, task_for(INFO).evaluation.encode(TEXTS, ASSETS))
    assert targets.shape == (len(TEXTS), training.ROW * LENGTH)
    for text, row, target in zip(TEXTS, inputs.numpy(), targets.numpy(), strict=True):
        whole = list(text)[: training.ROW * LENGTH]
        assert row[: min(len(text), LENGTH - 1) + 1].tolist() == [BEGIN, *text[: LENGTH - 1]]
        assert target.tolist() == whole + [-1] * (training.ROW * LENGTH - len(whole))


def test_a_window_is_a_part_of_the_text_and_its_targets_follow_its_inputs() -> None:
    import tensorflow as tf

    text = bytes(range(60, 120))
    inputs, targets = task_for(INFO).training.input_fn(ASSETS)({"text": tf.constant([text] * 200 + [b"tiny"])})
    seed = tf.constant([3, 4], tf.int64)
    moved, following = task_for({}).training.augment(inputs, targets, ("window",), seed)
    assert moved.dtype == inputs.dtype and moved.shape == inputs.shape == following.shape
    starts = []
    for row, target in zip(moved.numpy()[:-1], following.numpy()[:-1], strict=True):
        start = text.index(bytes(target.tolist()))
        starts.append(start)
        assert row.tolist() == [text[start - 1] if start else BEGIN, *target[:-1].tolist()]
    assert min(starts) == 0 and max(starts) == len(text) - LENGTH
    assert 5 < starts.count(0) < 40, "the beginning comes more often than any other place"
    assert moved.numpy()[-1, :5].tolist() == [BEGIN, *b"tiny"]
    assert following.numpy()[-1].tolist() == [*b"tiny"] + [-1] * 12
    again, _ = task_for({}).training.augment(inputs, targets, ("window",), seed)
    np.testing.assert_array_equal(moved, again)
    other, _ = task_for({}).training.augment(inputs, targets, ("window",), seed + 1)
    assert (moved.numpy() != other.numpy()).any()
    assert task_for({}).training.augment(inputs, targets, (), seed)[0] is inputs


def test_the_loss_is_the_mean_over_the_tokens_that_there_are() -> None:
    logits = np.zeros((2, 3, 4), np.float32)
    logits[0, 0, 2] = 5
    targets = np.array([[2, 1, -1, 3], [-1, -1, -1, 0]])
    expected = (-math.log(math.exp(5) / (math.exp(5) + 3)) + math.log(4)) / 2
    assert float(training.next_token_loss(targets, logits)) == pytest.approx(expected, rel=1e-5)


def test_a_network_that_is_no_language_model_is_refused(network: Any) -> None:
    import keras

    assert task_for(INFO).evaluation.problem(network) == ""
    assert task_for(INFO).training.assets(network) == ASSETS
    inputs = keras.Input((8,))
    other = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    assert "makes [3] of [8]" in task_for(INFO).evaluation.problem(other)


def test_an_epoch_shows_the_same_texts_for_the_same_seed(network: Any) -> None:
    found = task_for(INFO).training.epoch_samples(network, ASSETS, {}, 5)
    assert len(found) == training.SAMPLES == len(set(found))
    assert found == task_for(INFO).training.epoch_samples(network, ASSETS, {}, 5)


# --- judging ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stride", [1, 5, LENGTH, 99])
def test_every_token_of_a_text_is_judged_once(stride: int) -> None:
    texts = [np.arange(size, dtype=np.int32) for size in (1, 15, 16, 17, 40)]
    seen: dict[int, list[int]] = {number: [] for number in range(len(texts))}
    for numbers, inputs, targets in evaluation.windows(texts, BEGIN, LENGTH, stride):
        for number, row, target in zip(numbers.tolist(), inputs, targets, strict=True):
            judged = np.flatnonzero(target >= 0)
            seen[number] += target[judged].tolist()
            # The input at a token's place is the token before it.
            np.testing.assert_array_equal(row[judged], np.where(target[judged] == 0, BEGIN, target[judged] - 1))
    assert seen == {number: list(range(len(text))) for number, text in enumerate(texts)}


def test_a_text_is_as_probable_as_its_tokens_one_after_the_other(network: Any, predictor: Predictor) -> None:
    settings = task.Settings(stride=4)
    found = task_for(INFO, settings).evaluation.predict(predictor, _batch(TEXTS), ASSETS)
    assert found["tokens"].tolist() == [len(text) for text in TEXTS]
    text, window = TEXTS[3], 12
    nats = 0.0
    for place, token in enumerate(text):
        # Windows begin at every fourth token; a token is judged in the first that has it.
        start = 0 if place < LENGTH else 4 * ((place - window) // 4)
        row = np.full((1, LENGTH), BEGIN, np.int32)
        before = [BEGIN, *text][start : place + 1]
        row[0, : len(before)] = before
        logits = np.asarray(network(row))[0, len(before) - 1].astype(np.float64)
        nats += np.log(np.exp(logits).sum()) - logits[token]
    assert found["nats"][3] == pytest.approx(nats, rel=1e-4)


def test_bits_are_of_characters_and_loss_and_perplexity_of_tokens() -> None:
    # Two characters of five bytes, and one of one: log2 of the probabilities is -8 and -4.
    found = {"nats": np.array([8, 4]) * np.log(2), "tokens": np.array([5, 1])}
    truth = {"characters": np.array([2, 1]), "source": np.array([0, 1]), "key": np.array(["a", "b"])}
    scores = task_for(INFO, task.Settings()).evaluation.score(found, truth)
    assert scores["bits_per_character"] == pytest.approx(12 / 3)
    assert scores["loss"] == pytest.approx(12 * math.log(2) / 6)
    assert scores["perplexity"] == pytest.approx(2 ** (12 / 6))
    assert scores["log_likelihood"] == pytest.approx(-(8 / 2 + 4 / 1) / 2)
    assert task_for({}, task.Settings()).evaluation.example_metric(found, truth).tolist() == pytest.approx([-4, -4])
    intervals = task_for({}, task.Settings(resamples=100)).evaluation.confidence_intervals(found, truth, scores).metrics
    assert set(intervals) == set(task.Settings.metrics)
    assert all(low <= scores[name] <= high for name, (low, high) in intervals.items())


def test_slices_are_by_source_and_by_length() -> None:
    truth = {"characters": np.arange(1, 9), "source": np.arange(8) % 2}
    found = task_for(INFO, task.Settings()).evaluation.slices(truth)
    assert found["source rotten_tomatoes"].tolist() == [False, True] * 4
    assert found["length shortest quarter"].sum() == found["length longest quarter"].sum() == 2
    assert set(task_for({"sources": ["one"]}, task.Settings()).evaluation.slices(truth)) == {
        name for name in found if name.startswith("length")
    }


def test_the_report_shows_the_texts_at_both_ends_as_text(predictor: Predictor) -> None:
    batch = _batch([*TEXTS, b"<script>alert(1)</script>"])
    settings = task.Settings(resamples=100)
    found, truth = (
        task_for(INFO, settings).evaluation.predict(predictor, batch, ASSETS),
        task_for({}).evaluation.truth(batch),
    )
    shown = {
        title: [(5, batch["text"][5])]
        for title in task_for({}, task.Settings()).evaluation.worst_examples(found, truth)
    }
    intervals = task_for({}, settings).evaluation.confidence_intervals(found, truth, {})
    page = "".join(task_for(INFO, settings).report.figures(found, truth, intervals, shown))
    assert "&lt;script&gt;" in page and "<script>" not in page
    assert evaluation.HARDEST in page and evaluation.EASIEST in page
    assert [set(one) for one in task_for(INFO, settings).evaluation.predictions(found)] == [{"nats", "tokens"}] * 6


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    """Reviews of a package of the same form as the real one, prepared."""
    from components.prepare import logic

    root = tmp_path_factory.mktemp("reviews")
    file = root / "movie_reviews_of_a_language" / movie_reviews.FILE
    file.parent.mkdir(parents=True)
    (root / "movie_reviews_of_a_language" / "__init__.py").touch()
    with file.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(movie_reviews.COLUMNS)
        for number in range(120):
            rows.writerow(
                [f"Review {number}: the film is {'good' * (number % 7)} ½", 0, list(movie_reviews.COUNTS)[number % 2]]
            )
    outputs = [SimpleNamespace(path=str(root / name), uri="", metadata={}) for name in ("examples", "report")]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(root))
        patch.setattr(movie_reviews, "PACKAGE", file.parent.parent.name)
        settings = movie_reviews.Settings(
            task="text_generation", sources=("imdb", "rotten_tomatoes"), split=(0.6, 0.2, 0.2)
        )
        logic.prepare(settings.parameters(), str(root / "store"), "", *outputs)  # type: ignore[arg-type]
    page = Path(outputs[1].path).read_text()
    assert "Texts by source" in page and "rotten_tomatoes" in page
    return PreparedData.read(outputs[0].path)


def test_the_baseline_is_judged_on_the_same_texts_by_the_same_measure(prepared: PreparedData) -> None:
    from components.tasks.text_generation import kneser_ney

    title, values = task_for({}, task.Settings()).evaluation.baseline(prepared)
    assert "Kneser-Ney" in title
    texts = {
        split: [text for batch in prepared.batches(split, 7) for text in batch["text"].numpy()]
        for split in ("train", "test")
    }
    tokens = {split: [np.frombuffer(text, np.uint8) for text in some] for split, some in texts.items()}
    lost = -np.log2(kneser_ney.counted(tokens["train"], 5, 256).probabilities(tokens["test"])).sum()
    assert values["bits_per_character"] == pytest.approx(lost / sum(len(text.decode()) for text in texts["test"]))
    assert set(values) <= set(task.Settings.metrics)


# --- continuations ---------------------------------------------------------------------------------------------------


def test_every_runtime_continues_a_text_alike(network: Any, predictor: Predictor) -> None:
    import tensorflow as tf

    prompts = [b"", b"A film", b"exactly 15 long", b"exactly 16 long!", b"y" * 1_000_000]
    batch = {"text": _batch(prompts)["text"]}
    settings = task.Settings(new_tokens=20)
    cached = task_for(INFO, settings).evaluation.predict(predictor, batch, ASSETS)["continuation"].tolist()
    assert all(len(text) == 20 for text in cached)
    assert (
        task_for(INFO, settings).evaluation.predict(Predictor(predictor.run), batch, ASSETS)["continuation"].tolist()
        == cached
    )
    # The SavedModel's signature answers with half a window.
    signature, answer = task_for(INFO).serving.signature(network, ASSETS)
    found = tf.function(answer, input_signature=[signature])(tf.constant(prompts))
    np.testing.assert_allclose(
        found["outputs"], predictor.run(task_for(INFO).evaluation.encode(prompts, ASSETS)), atol=1e-5
    )
    assert found["continuation"].numpy().tolist() == [text[: LENGTH // 2] for text in cached]


def test_settings_and_seed_decide_about_a_continuation(predictor: Predictor) -> None:
    batch = {"text": _batch([b"A film"])["text"]}
    # As a LiteRT or ONNX file runs: nothing is compiled for each setting.
    alone = Predictor(predictor.run)

    def said(**changes: Any) -> str:
        settings = task.Settings(new_tokens=12, **changes)
        (one,) = task_for(INFO, settings).evaluation.predictions(
            task_for(INFO, settings).evaluation.predict(alone, batch, ASSETS)
        )
        assert task_for({}).serving.row(one) == {"continuation": one["continuation"]}
        return str(one["continuation"])

    greedy = said(temperature=0)
    assert said(top_k=1) == greedy == said(top_p=1e-6) == said(temperature=0, seed=9)
    assert said(seed=1) == said(seed=1) != said(seed=2)


def test_texts_are_read_from_files_and_from_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Größe\n")
    (tmp_path / "b.txt").write_text("two")
    (tmp_path / "c.md").write_text("no")
    assert [text for _, text in task_for(INFO).serving.read_inputs(str(tmp_path))] == [
        "Größe".encode(),
        b"two",
    ]
    assert task_for(INFO).serving.from_text("") == b""
    assert task_for(INFO).serving.from_text("A film") == b"A film"


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("latin.txt", b"caf\xe9", "is not UTF-8"),
        ("zero.txt", b"a\0b", "NUL byte"),
        ("none.txt", None, "cannot be read"),
        ("", None, "has no .txt file"),
    ],
    ids=["Latin-1", "NUL", "missing", "empty folder"],
)
def test_what_cannot_be_continued_is_told_in_one_line(
    name: str, content: bytes | None, told: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(StepError, match=told) as failure:
        task_for(INFO).serving.read_inputs(str(tmp_path / name))
    assert "\n" not in str(failure.value)


def test_the_number_of_draws_is_that_of_the_new_tokens() -> None:
    assert sampling.uniforms(0, 3, 5).shape == (3, 5)
    assert sampling.uniforms(0, 3, 5).min() >= 0 and sampling.uniforms(0, 3, 5).max() < 1
