"""Translation: what is an example, what a network is fed, and how it is judged and shown."""

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.core.errors import StepError
from components.core.inference import Predictor, traced
from components.models import seq2seq_transformer as model
from components.tasks import translation as task
from components.tasks.contract import Task
from components.tasks.translation import decoding, evaluation
from components.text.subwords import END, FIRST_BYTE, FIRST_PIECE, PAD, START

task_for = partial(Task, "translation")

INFO = {"languages": ["digits", "en"]}
SOURCES = [b"12", b"7", "fünf".encode(), b"123456"]
TARGETS = [b"one", b"two", b"three", b"four and more than fits"]
SETTINGS = task.Settings(resamples=100, batch_size=2)


def objects(values: list[Any]) -> np.ndarray:
    found = np.empty(len(values), object)
    found[:] = values
    return found


BATCH = {
    "source": objects(SOURCES),
    "target": objects(TARGETS),
    "key": np.array([b"a", b"b", b"c", b"d"]),
}


@pytest.fixture(scope="module")
def network():
    """Not trained: its translations are odd, but always the same."""
    import keras

    keras.utils.set_random_seed(5)
    settings = model.Settings(
        source_length=6, target_length=8, width=16, heads=2, layers=1, hidden=32, label_smoothing=0.1
    )
    return model.build(settings, ["on", "tw"])


@pytest.fixture(scope="module")
def assets(network) -> dict[str, Any]:
    return task_for(INFO).training.assets(network)


def fed(assets: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    import tensorflow as tf

    feeding = task_for(INFO).training.input_fn(assets)
    inputs, targets = feeding({"source": tf.constant(SOURCES), "target": tf.constant(TARGETS)})
    return inputs.numpy(), targets.numpy()


def test_the_assets_are_read_from_the_network(assets) -> None:
    assert assets == {"pieces": ["on", "tw"], "source_length": 6, "target_length": 8}


def test_a_network_is_fed_with_the_source_and_the_target_shifted_by_one(assets) -> None:
    inputs, targets = fed(assets)
    assert inputs.shape == (4, 14)
    assert inputs[0, :3].tolist() == [FIRST_BYTE + ord("1"), FIRST_BYTE + ord("2"), END]
    assert (inputs[:, 6] == START).all()
    np.testing.assert_array_equal(inputs[:3, 7:], targets[:3, :-1])
    assert targets[1].tolist() == [FIRST_PIECE + 1, FIRST_BYTE + ord("o"), END, *[PAD] * 5]
    assert inputs.dtype == targets.dtype == np.int32


def test_of_a_pair_that_is_too_long_no_token_counts(assets) -> None:
    _, targets = fed(assets)
    assert (targets[3] == PAD).all()
    assert (targets[:3] != PAD).any(axis=1).all()


def test_the_host_makes_the_inputs_that_the_graph_makes(assets) -> None:
    inputs, _ = fed(assets)
    alone = task_for(INFO).evaluation.encode(SOURCES, assets)
    np.testing.assert_array_equal(alone[:, :7], inputs[:, :7])
    assert (alone[:, 7:] == PAD).all()
    np.testing.assert_array_equal(decoding.pack(SOURCES, TARGETS, assets), inputs)


@pytest.mark.parametrize("beam", [1, 3])
def test_keeping_keys_and_values_gives_the_translations_of_computing_all_anew(network, assets, beam: int) -> None:
    settings = task.Settings(beam=beam)
    run = traced(network)
    cached = task_for(INFO, settings).evaluation.predict(Predictor(run, network), BATCH, assets)
    anew = task_for(INFO, settings).evaluation.predict(Predictor(run), BATCH, assets)
    assert cached["hypothesis"].tolist() == anew["hypothesis"].tolist()
    assert len(set(cached["hypothesis"].tolist())) > 1
    assert cached["whole"].tolist() == [True, True, True, False]


def test_the_loss_is_the_mean_over_tokens_as_keras_has_it(network, assets) -> None:
    from components.layers.token_loss import TokenLoss

    inputs, targets = fed(assets)
    found = task_for(INFO, SETTINGS).evaluation.predict(Predictor(traced(network)), BATCH, assets)
    assert found["tokens"][:3].tolist() == (targets[:3] != PAD).sum(axis=1).tolist()
    by_keras = float(TokenLoss()(targets[:3], network(inputs[:3])))
    assert found["loss"][:3].sum() / found["tokens"][:3].sum() == pytest.approx(by_keras, rel=1e-5)


def test_smoothing_spreads_a_share_over_all_tokens() -> None:
    from components.layers.token_loss import TokenLoss

    logits = np.random.default_rng(0).normal(size=(2, 3, 5)).astype(np.float32)
    targets = np.array([[3, 4, PAD], [4, PAD, PAD]], np.int32)
    logs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    wanted = 0.8 * np.eye(5)[targets] + 0.2 / 5
    mean = -(wanted * logs).sum(axis=-1)[targets != PAD].mean()
    assert float(TokenLoss(0.2)(targets, logits)) == pytest.approx(mean, rel=1e-5)
    assert float(TokenLoss(0.2)(np.zeros_like(targets), logits)) == 0


def test_keras_counts_right_tokens_but_no_padding() -> None:
    from components.layers.token_loss import TokenAccuracy

    logits = np.eye(5, dtype=np.float32)[[[3, 4, 0], [3, 0, 0]]]
    metric = TokenAccuracy()
    metric.update_state(np.array([[3, 3, PAD], [3, PAD, PAD]]), logits)
    assert float(metric.result()) == pytest.approx(2 / 3)


def test_the_network_is_compiled_with_its_own_smoothing(network) -> None:
    assert task_for(INFO).training.compile_arguments(network)["loss"].label_smoothing == 0.1


def test_another_kind_of_network_is_refused(network) -> None:
    import keras

    assert task_for(INFO).evaluation.problem(network) == ""
    inputs = keras.Input((3,))
    assert "encoder" in task_for(INFO).evaluation.problem(keras.Model(inputs, keras.layers.Dense(2)(inputs)))


# --- judging ---------------------------------------------------------------------------------------------------------

SAID = [b"the cat sat on the mat", b"a dog", b"", b"it rains today"]
MEANT = [b"the cat sat on the mat", b"the dog ran", b"hello", b"it rained today"]
FOUND = {
    "hypothesis": objects(SAID),
    "whole": np.array([True, True, True, False]),
    "loss": np.array([1.0, 2.0, 3.0, 4.0]),
    "right": np.array([5, 4, 3, 2]),
    "tokens": np.array([5, 5, 5, 5]),
}
TRUTH = {"key": BATCH["key"], "target": objects(MEANT), "source_bytes": np.array([1, 2, 3, 4])}


def test_every_metric_is_scored_and_bounded_by_its_interval() -> None:
    scores = task_for(INFO, SETTINGS).evaluation.score(FOUND, TRUTH)
    assert set(scores) == set(task.Settings.metrics)
    assert scores["exact_match"] == 0.25
    assert scores["token_accuracy"] == 14 / 20
    assert scores["loss"] == 0.5
    intervals = task_for({}, SETTINGS).evaluation.confidence_intervals(FOUND, TRUTH, scores).metrics
    assert set(intervals) == set(scores)
    assert all(intervals[name][0] <= value <= intervals[name][1] for name, value in scores.items())


def test_chrf_and_bleu_are_those_of_sacrebleu() -> None:
    from sacrebleu.metrics import BLEU, CHRF

    scores = task_for(INFO, SETTINGS).evaluation.score(FOUND, TRUTH)
    said, meant = ([text.decode() for text in side] for side in (SAID, MEANT))
    assert scores["chrf"] == pytest.approx(CHRF().corpus_score(said, [meant]).score)
    assert scores["bleu"] == pytest.approx(BLEU().corpus_score(said, [meant]).score)
    by_sentence = [CHRF().sentence_score(one, [other]).score / 100 for one, other in zip(said, meant, strict=True)]
    np.testing.assert_allclose(task_for({}, task.Settings()).evaluation.example_metric(FOUND, TRUTH), by_sentence)
    assert scores["sentence_chrf"] == pytest.approx(np.mean(by_sentence))


def test_slice_metrics_are_means_over_examples() -> None:
    values = task_for({}, SETTINGS).evaluation.example_scores(FOUND, TRUTH)
    scores = task_for(INFO, SETTINGS).evaluation.score(FOUND, TRUTH)
    assert set(values) == set(task.Settings.slice_metrics)
    assert {name: pytest.approx(column.mean()) for name, column in values.items()} == {
        name: scores[name] for name in task.Settings.slice_metrics
    }
    assert task.Settings.paired_metric in task.Settings.slice_metrics


def test_translations_without_any_tokens_are_judged_too() -> None:
    nothing = {name: values * 0 if values.dtype != object else values for name, values in FOUND.items()}
    scores = task_for(INFO, SETTINGS).evaluation.score(nothing, TRUTH)
    assert scores["loss"] == scores["token_accuracy"] == 0


def test_slices_are_quarters_of_the_sources_lengths() -> None:
    masks = task_for(INFO, task.Settings()).evaluation.slices(TRUTH)
    assert list(masks) == [f"source length {name} quarter" for name in evaluation.QUARTERS]
    assert np.sum(list(masks.values()), axis=0).tolist() == [1, 1, 1, 1]
    assert masks["source length shortest quarter"].tolist() == [True, False, False, False]
    assert task_for(INFO, task.Settings()).evaluation.slices(TRUTH | {"source_bytes": np.full(4, 7)}) == {}


def test_the_truth_has_what_judging_needs() -> None:
    assert task_for({}).evaluation.truth(BATCH)["source_bytes"].tolist() == [2, 1, 5, 6]
    assert task_for({}).evaluation.truth(BATCH)["target"].tolist() == TARGETS


def test_the_report_shows_the_worst_translations_with_their_sources() -> None:
    values = task_for({}, task.Settings()).evaluation.worst_examples(FOUND, TRUTH)
    assert list(values) == [evaluation.WORST]
    assert values[evaluation.WORST][0] == 0
    assert values[evaluation.WORST].argmax() == 2
    intervals = task_for({}, SETTINGS).evaluation.confidence_intervals(FOUND, TRUTH, {})
    page = "".join(
        task_for(INFO, SETTINGS).report.figures(
            FOUND, TRUTH, intervals, {evaluation.WORST: [(2, b"bonjour <b>"), (1, b"le chien")]}
        )
    )
    assert "bonjour &lt;b&gt;" in page
    assert page.index("bonjour") < page.index("le chien")
    assert "greedy decoding" in page
    assert evaluation.WORST not in "".join(
        task_for(INFO, SETTINGS).report.figures(FOUND, TRUTH, intervals, {evaluation.WORST: []})
    )


# --- export and prediction -------------------------------------------------------------------------------------------


def test_the_serving_signature_takes_sentences_and_gives_what_evaluation_judged(network, assets) -> None:
    import tensorflow as tf

    spec, answer = task_for(INFO).serving.signature(network, assets)
    served = tf.function(answer, input_signature=[spec], autograph=False)(tf.constant([*SOURCES, b" "]))
    found = task_for(INFO, SETTINGS).evaluation.predict(
        Predictor(traced(network), network), {"source": BATCH["source"]}, assets
    )
    assert served["translation"].numpy().tolist() == [*found["hypothesis"].tolist(), b""]
    outputs = network(task_for(INFO).evaluation.encode([*SOURCES, b" "], assets))
    np.testing.assert_allclose(served["outputs"], outputs, rtol=1e-4, atol=1e-5)


def test_a_prediction_says_when_the_source_was_cut() -> None:
    said = task_for(INFO, SETTINGS).evaluation.predictions(FOUND)
    assert said[0] == {"translation": "the cat sat on the mat", "whole": True}
    assert [task_for({}).serving.row(one)["translation"] for one in said][2:] == [
        "",
        "it rains today (of the first part)",
    ]


def test_an_empty_line_stays_one(network, assets, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_bytes(b"12\n\n7\r\n")
    read = task_for(INFO).serving.read_inputs(str(tmp_path / "in.txt"))
    assert read == [("line 1", b"12"), ("line 2", b""), ("line 3", b"7")]
    batch = {"source": objects([content for _, content in read])}
    found = task_for(INFO, SETTINGS).evaluation.predict(Predictor(traced(network)), batch, assets)
    assert found["hypothesis"][1] == b""
    assert found["hypothesis"][0] != b""


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "there is no text file"),
        (b"", "is empty"),
        (b"one\n\xff\xfe\n", r"in\.txt: line 2 is not UTF-8 from byte 0 on"),
        (b"a\0b\n", "line 1 has a NUL byte at 1"),
        (b"x" * 2**20, "line 1 has 1,048,576 bytes, at most 10,000 were expected"),
    ],
    ids=["missing", "empty", "latin", "nul", "1 MB"],
)
def test_bad_files_are_refused_in_one_line(tmp_path: Path, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / "in.txt").write_bytes(content)
    with pytest.raises(StepError, match=said):
        task_for(INFO).serving.read_inputs(str(tmp_path / "in.txt"))


@pytest.mark.parametrize(("text", "said"), [("", "is empty"), ("\udcff", "is not UTF-8"), ("a\0", "NUL")], ids=repr)
def test_what_is_typed_must_be_a_sentence(text: str, said: str) -> None:
    assert task_for(INFO).serving.from_text("fünf") == "fünf".encode()
    with pytest.raises(StepError, match=said):
        task_for(INFO).serving.from_text(text)


def test_the_training_report_shows_translations_of_what_is_held_back(network, assets) -> None:
    batch = {"source": np.array([b"12", b"7"], object), "target": np.array([b"twelve", b"seven"], object)}
    shown = task_for(INFO).training.epoch_samples(network, assets, batch, 0)
    assert len(shown) == 2
    assert shown[0].startswith("12 -> ")
    assert shown[0].endswith("(reference: twelve)")


def test_the_card_tells_both_languages_and_what_decodes() -> None:
    assert task_for(INFO).report.description() == {"from": "digits", "to": "en"}
    assert "a beam of 4" in " ".join(task_for(INFO, task.Settings(beam=4)).report.limits())


def test_a_format_decodes_where_neither_tensorflow_nor_keras_is_installed() -> None:
    script = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"tensorflow", "keras", "sacrebleu"}:
            raise ImportError(f"{name} is blocked in this test")
sys.meta_path.insert(0, Blocked())
import numpy as np
from components.core.inference import Predictor
from components.tasks import translation as task
from components.tasks.contract import Task
def run(inputs):
    # Says the source's bytes again, then END.
    logits = np.zeros((len(inputs), 6, 259), np.float32)
    rows, places = np.indices((len(inputs), 6))
    logits[rows, places, inputs[:, :6]] = 50
    return logits
assets = {"pieces": [], "source_length": 6, "target_length": 6}
batch = {"source": np.array([b"abc", b"12345", b" "], object)}
for beam in (1, 3):
    found = Task("translation", {}, task.Settings(beam=beam)).evaluation.predict(Predictor(run), batch, assets)
    said = Task("translation", {}, task.Settings()).evaluation.predictions(found)
    assert [one["translation"] for one in said] == ["abc", "12345", ""], said
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
