"""Translation: a sentence in one language for a sentence in another."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from components.core.config import Positive
from components.core.errors import StepError
from components.tasks import EvaluationSettings

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf
    from markupsafe import Markup

    from components.core.examples import Examples, Stored
    from components.core.inference import Predictor
    from components.metrics.bootstrap import Intervals
    from components.metrics.translation import Scores
    from components.tasks._tfds import Reading
    from components.tasks.translation.summary import SentencePairs

INTERFACE = "source -> target"
# The metrics that ``require`` may name, and which way is better. chrF and BLEU are sacrebleu's, from 0 to 100.
METRICS: dict[str, Literal["max", "min"]] = {
    "exact_match": "max",
    "sentence_chrf": "max",
    "chrf": "max",
    "bleu": "max",
    "token_accuracy": "max",
    "loss": "min",
}
# Those that ``require_slices`` may name: means over examples.
SLICE_METRICS = ("exact_match", "sentence_chrf")
# Compared example by example between champion and challenger: chrF of the sentence, as a share, tells more than whether
# all of it is right, and serves numbers and prose alike.
PAIRED_METRIC = "sentence_chrf"
AUGMENTATIONS: tuple[str, ...] = ()
# Bytes of a sentence: a longer one is no sentence.
LONGEST = 10_000
QUARTERS = ("shortest", "lower middle", "upper middle", "longest")
WORST = "Worst translations"
# Sentences that the report shows without looking at how good they are.
SHOWN = 12


class Settings(EvaluationSettings):
    """How to judge a translator, and how it translates.

    Attributes:
        beam: translations that are written side by side; 1 takes the best token each time.
        length_penalty: 0 favours short translations, 1 treats long ones about alike (GNMT's alpha).
    """

    metrics = METRICS
    slice_metrics = SLICE_METRICS
    shares = frozenset({"exact_match", "sentence_chrf", "token_accuracy"})

    beam: Positive = 1
    length_penalty: Annotated[float, Field(ge=0, le=5)] = 0.6


# --- examples: what prepare writes and every step reads --------------------------------------------------------------

CONTENT = "source"
# The features in the order of writing: the content, of which the key is made, the key, and what ``stored`` gives.
KINDS: dict[str, type] = {"source": bytes, "key": bytes, "target": bytes}


def features(info: dict[str, Any]) -> dict[str, Any]:
    """The TFDS features of an example: ``source``, ``target`` and ``key``, all texts."""
    from tensorflow_datasets import features as kinds

    return {"source": kinds.Text(), "target": kinds.Text(), "key": kinds.Text()}


def stored(examples: list[dict[str, Any]], info: dict[str, Any]) -> "Stored":
    """Examples as they are written, and what is wrong with the others: a side that is empty, too long or no UTF-8.

    Args:
        examples: each with ``source`` and ``target``, bytes; or with ``fault``, what is wrong with it.
    """
    from components.core.examples import Stored

    faults = {place: fault for place, example in enumerate(examples) if (fault := _fault(example))}
    good = [example for place, example in enumerate(examples) if place not in faults]
    return Stored([example["source"] for example in good], {"target": [example["target"] for example in good]}, faults)


def _fault(example: dict[str, Any]) -> str:
    if "fault" in example:
        return str(example["fault"])
    faults = ((side, _text_fault(example[side])) for side in ("source", "target"))
    return next((f"the {side} {fault}" for side, fault in faults if fault), "")


def _text_fault(text: bytes) -> str:
    """What is wrong with a text as a sentence, to follow its name, or an empty string."""
    if len(text) > LONGEST:
        return f"has {len(text):,} bytes, at most {LONGEST:,} were expected"
    if not text.strip():
        return "is empty"
    if b"\0" in text:
        return f"has a NUL byte at {text.index(0):,}"
    try:
        text.decode()
    except UnicodeDecodeError as error:
        return f"is not UTF-8 from byte {error.start:,} on"
    return ""


def parse(records: "tf.Tensor", info: dict[str, Any]) -> "dict[str, tf.Tensor]":
    """Serialized examples, shape [batch], as tensors: source, target and key, strings [batch]."""
    from components.core.examples import parsed

    return parsed(records, KINDS)


def profile(info: dict[str, Any]) -> "SentencePairs":
    """What prepare's report tells: lengths, and a few pairs."""
    from components.tasks.translation.summary import SentencePairs

    return SentencePairs(info["languages"])


def from_tfds(features: Any, settings: Any) -> "Reading":
    """The pairs of a data set with two texts that are named by their language, such as ``wmt16_translate/de-en`` and
    ``ted_hrlr_translate/pt_to_en``, or with one feature of texts in several languages, such as ``ted_multi_translate``.

    ``data.languages`` names source and target; without it the order is the data set's own.

    Raises:
        ValueError: it has no such texts, or not in these languages.
    """
    from components.tasks._tfds import Reading

    texts, path = _texts_of(features)
    wanted = tuple(settings.languages) or tuple(texts)
    if missing := [language for language in wanted if language not in texts]:
        raise ValueError(f"has no texts in {missing[0]!r}; data.languages may name {', '.join(texts)}")
    if len(wanted) != 2:
        raise ValueError(
            f"has texts in {', '.join(texts)}; name source and target, such as data.languages={texts[0]},{texts[1]}"
        )

    def convert(example: Mapping[str, Any]) -> dict[str, Any]:
        said = example[path] if path else example
        if "translation" in said and "language" in said:
            said = dict(zip((name.decode() for name in said["language"]), said["translation"], strict=True))
        absent = [language for language in wanted if language not in said]
        if absent:
            return {"fault": f"there is no {absent[0]} text"}
        return {"source": bytes(said[wanted[0]]), "target": bytes(said[wanted[1]])}

    return Reading({"languages": list(wanted)}, convert)


def _texts_of(features: Any) -> tuple[list[str], str]:
    """The languages that a data set has texts in, and the feature that holds them, empty for all of it.

    Raises:
        ValueError: there is no such feature, or only one language.
    """
    import tensorflow_datasets as tfds

    several = (tfds.features.Translation, tfds.features.TranslationVariableLanguages)
    found = [("", features)] if isinstance(features, several) else []
    found += [(name, part) for name, part in features.items() if isinstance(part, several)]
    if not found:
        raise ValueError(f"has {', '.join(features)}, where texts in two languages were expected")
    path, texts = found[0]
    return list(texts.languages), path


# --- building and training -------------------------------------------------------------------------------------------


def expected(model: Any, data: Any, facts: Any) -> dict[str, Any]:
    """``pieces``: as many as are asked for, before it is known which."""
    return {"pieces": [f"piece {number}" for number in range(model.pieces)]}


def arguments(model: Any, examples: "Examples") -> dict[str, Any]:
    """What a model's ``build`` takes: the pieces, counted on the train split.

    Raises:
        StepError: most sentences of the train split are longer than the model takes.
    """
    from components.tasks.translation import decoding
    from components.text import subwords

    found: tuple[str, ...] = ()
    if model.pieces:
        batches = examples.batches("train", 1024).as_numpy_iterator()
        texts = (text.decode() for batch in batches for side in ("source", "target") for text in batch[side])
        found = subwords.learn_pieces(texts, model.pieces)
    assets = {"pieces": found, "source_length": model.source_length, "target_length": model.target_length}
    whole, tokens = {"source": 0, "target": 0}, subwords.SubwordTokenizer(found)
    for batch in examples.batches("train", 1024).as_numpy_iterator():
        for side in whole:
            ids = tokens.encode(batch[side].tolist(), assets[f"{side}_length"])
            whole[side] += int(decoding.ended(ids).sum())
    count = examples.require("train")
    for side, fitting in whole.items():
        if fitting < count:
            print(f"{count - fitting:,} of {count:,} {side} texts are longer than model.{side}_length", flush=True)
        if 2 * fitting < count:
            raise StepError(
                f"model.{side}_length: {count - fitting:,} of {count:,} texts have more than "
                f"{assets[f'{side}_length']} tokens",
                advice=f"raise model.{side}_length, or let tokens be longer by model.pieces",
                kind="settings",
            )
    return {"pieces": list(found)}


def assets(network: "keras.Model", info: dict[str, Any]) -> dict[str, Any]:
    """What turns sentences into the network's input: pieces and lengths, as the network itself has them."""
    from components.tasks.translation.decoding import layer_of

    layer = layer_of(network)
    return {
        "pieces": list(layer.pieces),
        "source_length": layer.source_length,
        "target_length": layer.target_length,
    }


def feeding(assets: dict[str, Any], info: dict[str, Any]) -> "Callable[[dict[str, tf.Tensor]], tuple[Any, Any]]":
    """What makes of a parsed batch the network's inputs, the target shifted by one, and the targets."""
    from components.tasks.translation.decoding import packed_in_graph

    return lambda batch: packed_in_graph(batch["source"], batch["target"], assets)


def encoded(contents: list[bytes], assets: dict[str, Any], info: dict[str, Any]) -> "np.ndarray":
    """Network inputs for sentences whose translations are not known: of these only START, int32 [n, length]."""
    from components.tasks.translation.decoding import packed

    return packed(contents, None, assets)


def compile_arguments(network: "keras.Model", info: dict[str, Any]) -> dict[str, Any]:
    """Loss and metrics for ``model.compile``, fresh objects at each call."""
    from components.layers.token_loss import TokenAccuracy, TokenLoss
    from components.tasks.translation.decoding import layer_of

    return {"loss": TokenLoss(layer_of(network).label_smoothing), "metrics": [TokenAccuracy()]}


def problem(network: "keras.Model", info: dict[str, Any]) -> str:
    """Why this network cannot translate, or an empty string."""
    from components.tasks.translation.decoding import layer_of

    return "" if layer_of(network) is not None else "has no encoder and decoder of tokens"


def augmented(inputs: "tf.Tensor", targets: "tf.Tensor", kinds: tuple[str, ...], seed: "tf.Tensor") -> Any:
    """Sentences as they are: no augmentation changes one without changing what it means."""
    return inputs, targets


def epoch_samples(
    network: "keras.Model", assets: dict[str, Any], info: dict[str, Any], batch: "dict[str, np.ndarray]", seed: int
) -> list[str]:
    """Source and translation of a few pairs, and the reference where it is another."""
    from components.core.inference import Predictor
    from components.tasks.translation import decoding

    predictor = Predictor(lambda inputs: inputs, network)
    said = decoding.translated(predictor, batch["source"].tolist(), assets)
    return [
        f"{_shown(source)} -> {_shown(text)}" + ("" if text == reference else f" (reference: {_shown(reference)})")
        for source, text, reference in zip(batch["source"].tolist(), said, batch["target"].tolist(), strict=True)
    ]


# --- judging ---------------------------------------------------------------------------------------------------------


def answers(
    predictor: "Predictor",
    batch: "dict[str, np.ndarray]",
    settings: Settings,
    info: dict[str, Any],
    assets: dict[str, Any],
) -> "dict[str, np.ndarray]":
    """Translations of ``batch["source"]`` (bytes objects [n]), and how well the network predicts ``target``.

    Returns:
        ``hypothesis``, bytes objects [n]; ``whole``, whether the network saw all of the source, bool [n]; and where
        there are targets what ``decoding.predicted`` finds of their tokens: ``loss``, ``right`` and ``tokens`` [n].
    """
    from components.core.inference import objects
    from components.tasks.translation import decoding

    sources = batch["source"].tolist()
    said = decoding.translated(predictor, sources, assets, settings.beam, settings.length_penalty)
    inputs = decoding.packed(sources, None, assets)
    found = {"hypothesis": objects(said), "whole": decoding.ended(inputs[:, : assets["source_length"]])}
    if "target" in batch:
        found |= decoding.predicted(predictor, sources, batch["target"].tolist(), assets)
    return found


def truth(batch: "dict[str, np.ndarray]") -> "dict[str, np.ndarray]":
    """Key, target (bytes objects [n]) and the source's bytes, int64 [n]."""
    import numpy as np

    sizes = np.array([len(source) for source in batch["source"].tolist()], np.int64)
    return {"key": batch["key"], "target": batch["target"], "source_bytes": sizes}


def _scores(found: "dict[str, np.ndarray]", truth: "dict[str, np.ndarray]") -> "Scores":
    from components.metrics.translation import Scores

    return Scores(found["hypothesis"].tolist(), truth["target"].tolist())


def score(
    found: "dict[str, np.ndarray]", truth: "dict[str, np.ndarray]", settings: Settings, info: dict[str, Any]
) -> dict[str, float]:
    """The metrics in METRICS; loss (nats) and accuracy are means over tokens, exact match over sentences."""
    judged, tokens = _scores(found, truth), max(1, int(found["tokens"].sum()))
    return {
        "exact_match": float(judged.exact.mean()),
        "sentence_chrf": float(judged.sentence_chrf.mean()),
        "chrf": judged.corpus("chrf"),
        "bleu": judged.corpus("bleu"),
        "token_accuracy": float(found["right"].sum() / tokens),
        "loss": float(found["loss"].sum() / tokens),
    }


def resampled(
    found: "dict[str, np.ndarray]", truth: "dict[str, np.ndarray]", settings: Settings, scores: dict[str, float]
) -> "Intervals":
    """95% bootstrap intervals of what ``score`` found; ``metrics`` maps a metric to its interval."""
    from components.metrics.bootstrap import Intervals

    judged = _scores(found, truth)
    means = {"token_accuracy": found["right"], "loss": found["loss"]}
    return Intervals(judged.intervals(means, found["tokens"], settings.resamples, settings.seed))


def example_values(
    found: "dict[str, np.ndarray]", truth: "dict[str, np.ndarray]", settings: Settings
) -> "dict[str, np.ndarray]":
    """The metrics in SLICE_METRICS, example by example: metric -> float64 [n]."""
    judged = _scores(found, truth)
    return {"exact_match": judged.exact, "sentence_chrf": judged.sentence_chrf}


def paired(found: "dict[str, np.ndarray]", truth: "dict[str, np.ndarray]") -> "np.ndarray":
    """The chrF of each sentence as a share, float64 [n]."""
    return _scores(found, truth).sentence_chrf


def slices(truth: "dict[str, np.ndarray]", info: dict[str, Any]) -> "dict[str, np.ndarray]":
    """Slice name -> boolean mask [n]: by the source's length in bytes, quarters of the test split's own."""
    from components.metrics import slicing

    masks = slicing.quarters("source length", truth["source_bytes"], QUARTERS)
    # Of sources that are all alike, one slice would be everything.
    return {name: mask for name, mask in masks.items() if mask.any() and not mask.all()}


def notable(found: "dict[str, np.ndarray]", truth: "dict[str, np.ndarray]") -> "dict[str, np.ndarray]":
    """How far each translation is from its reference, float64 [n]: 1 less the sentence's chrF, 0 where it is exact."""
    import numpy as np

    judged = _scores(found, truth)
    return {WORST: np.where(judged.exact > 0, 0.0, 1 - judged.sentence_chrf)}


def figures(
    found: "dict[str, np.ndarray]",
    truth: "dict[str, np.ndarray]",
    settings: Settings,
    info: dict[str, Any],
    intervals: "Intervals",
    shown: "Mapping[str, Sequence[tuple[int, bytes]]]",
) -> "list[Markup]":
    """The report's sections: how sentence chrF is spread, translations as they come, and the worst ones."""
    from components.core import reports
    from components.tasks.translation import figures

    judged = _scores(found, truth)
    parts = [reports.section("Sentences", figures.spread(judged.sentence_chrf, truth["source_bytes"]))]
    rows = list(zip(judged.hypotheses, judged.references, judged.sentence_chrf.tolist(), strict=True))
    told = f"The first of the test split, by {_decoding(settings.beam)}; chrF from 0 to 1."
    table = reports.table(["translation", "reference", "chrF"], rows[:SHOWN], caption=told)
    parts.append(reports.section("Translations as they come", table))
    for title, examples in shown.items():
        if examples:
            worst = [(_shown(content), *rows[number]) for number, content in examples]
            parts.append(reports.section(title, reports.table(["source", "translation", "reference", "chrF"], worst)))
    return parts


def _decoding(beam: int) -> str:
    return "greedy decoding" if beam == 1 else f"a beam of {beam}"


def _shown(text: bytes) -> str:
    return text.decode(errors="replace")


# --- export and prediction -------------------------------------------------------------------------------------------


def served(network: "keras.Model", assets: dict[str, Any], info: dict[str, Any]) -> Any:
    """What a SavedModel takes, sentences, strings [n], and its function: ``translation``, strings [n], by greedy
    decoding in the graph, and ``outputs``, the network's for the sources and the START of a translation."""
    import tensorflow as tf

    from components.tasks.translation import decoding
    from components.text.subwords import PAD, START, SubwordTokenizer

    layer, tokens = decoding.layer_of(network), SubwordTokenizer(tuple(assets["pieces"]))

    def answer(sources: "tf.Tensor") -> "dict[str, tf.Tensor]":
        ids = tokens.encode_in_graph(sources, assets["source_length"])
        n = tf.shape(ids)[0]
        begun = tf.concat([tf.fill([n, 1], START), tf.fill([n, assets["target_length"] - 1], PAD)], axis=1)
        said = tokens.decode_in_graph(decoding.cached(layer, ids, 1, 0.0))
        empty = tf.strings.length(tf.strings.strip(sources)) == 0
        outputs = network(tf.concat([ids, begun], axis=1), training=False)
        return {"translation": tf.where(empty, "", said), "outputs": outputs}

    return tf.TensorSpec([None], tf.string, name="source"), answer


def predictions(found: "dict[str, np.ndarray]", settings: Settings, info: dict[str, Any]) -> list[dict[str, Any]]:
    """For each example its ``translation``, and ``whole``: whether the network saw all of the source."""
    pairs = zip(found["hypothesis"].tolist(), found["whole"].tolist(), strict=True)
    return [{"translation": _shown(said), "whole": whole} for said, whole in pairs]


def row(prediction: "Mapping[str, Any]") -> dict[str, str]:
    """A prediction as columns of a table."""
    return {"translation": prediction["translation"] + ("" if prediction["whole"] else " (of the first part)")}


def read_inputs(path: str, info: dict[str, Any]) -> list[tuple[str, bytes]]:
    """Name and sentence of each line of a text file; an empty line stays one, so that line follows line.

    Raises:
        StepError: there is no such file, it is empty, or a line is no sentence.
    """
    from pathlib import Path

    file = Path(path).expanduser()
    if not file.is_file():
        raise StepError(f"there is no text file {file}", advice="give a file with one sentence a line")
    lines = file.read_bytes().splitlines()
    if not lines:
        raise StepError(f"{file} is empty", advice="one sentence a line was expected")
    for number, line in enumerate(lines, 1):
        if line.strip() and (fault := _text_fault(line)):
            raise StepError(f"{file.name}: line {number} {fault}")
    return [(f"line {number}", line) for number, line in enumerate(lines, 1)]


def typed(text: str, info: dict[str, Any]) -> bytes:
    """A sentence typed on the command line.

    Raises:
        StepError: it is none.
    """
    raw = text.encode(errors="surrogateescape")
    if fault := _text_fault(raw):
        raise StepError(f"the text {fault}", advice="give a sentence in UTF-8")
    return raw


def described(info: dict[str, Any]) -> dict[str, Any]:
    """Facts for the model card."""
    source, target = info["languages"]
    return {"from": source, "to": target}


def limits(info: dict[str, Any], settings: "Mapping[str, Any]") -> list[str]:
    """Sentences for the model card."""
    source, target = info["languages"]
    return [
        f"It takes whatever it is given for {source} and always writes {target}: nonsense is translated, too.",
        "Of a source that is longer than the network takes, the first part is translated; a prediction says so.",
        "A translation that reads well may be wrong: the metrics compare characters and words with one reference.",
        f"It was judged with {_decoding(settings['beam'])}; the SavedModel decodes greedily.",
    ]
