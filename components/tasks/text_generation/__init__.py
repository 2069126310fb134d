"""Text generation: the next token of a text, and so its continuation."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from components.core.config import Count, Positive
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
    from components.tasks._tfds import Reading
    from components.tasks.text_generation.summary import Corpus

INTERFACE = "text -> next token"
CONTENT = "text"
# Train on a random part of each text, another one in each epoch, and not always on its beginning.
AUGMENTATIONS = ("window",)

# All are of whole held-out texts, each token predicted once. ``bits_per_character``: -log2 of the probability of
# all texts, over their Unicode characters, so that it does not depend on what the tokens are. ``loss``: the mean of
# -ln(probability) over tokens; ``perplexity`` its exponential. ``log_likelihood``: the mean over texts of log2 of a
# text's probability, over the characters of that text: at most 0.
METRICS: dict[str, Literal["max", "min"]] = {
    "bits_per_character": "min",
    "perplexity": "min",
    "loss": "min",
    "log_likelihood": "max",
}
SLICE_METRICS = ("log_likelihood",)
PAIRED_METRIC = "log_likelihood"
KNESER_NEY, ORDER = "kneser_ney_5gram", 5

# A row that a window of the training data is taken from has so many times the tokens that a network sees.
ROW = 16
# A window begins at a text's beginning as often as at so many other places of it, as a part of a window.
BEGINNING = 4
# Windows in one call of a network.
AT_ONCE = 64
SAMPLES, SAMPLE_TOKENS = 3, 200
HARDEST, EASIEST, SHOWN, SHOWN_CHARACTERS = "Least expected texts", "Most expected texts", 6, 400
QUARTERS = ("shortest", "shorter middle", "longer middle", "longest")
LONGEST = 10_000_000


class Settings(EvaluationSettings):
    """How to judge a language model, and how it continues a text.

    Attributes:
        stride: a held-out text is read in windows as long as the network sees, one every so many tokens; a token is
            judged once, in the first window that has it. Less gives it more to go by, and takes longer.
        new_tokens: how many tokens a continuation has.
        temperature: logits are divided by it before a token is drawn; 0 always takes the best one.
        top_k: only so many of the best tokens are drawn from; 0 for all.
        top_p: only the best tokens that together have this probability.
    """

    metrics = METRICS
    slice_metrics = SLICE_METRICS
    baselines = (KNESER_NEY,)

    stride: Positive = 128
    new_tokens: Positive = 100
    temperature: Annotated[float, Field(ge=0)] = 0.8
    top_k: Count = 0
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.95


# --- examples: what prepare writes and every step reads --------------------------------------------------------------

# The features in the order of writing: the content, of which the key is made, the key, and those that ``stored`` gives.
KINDS: dict[str, type] = {"text": bytes, "key": bytes, "source": int, "characters": int}


def features(info: dict[str, Any]) -> dict[str, Any]:
    """The TFDS features of an example: ``text`` and ``key``, the number of its ``source``, and how many Unicode
    ``characters`` it has."""
    import numpy as np
    from tensorflow_datasets import features as kinds

    number = kinds.Scalar(np.int64)
    return {"text": kinds.Text(), "key": kinds.Text(), "source": number, "characters": number}


def stored(examples: list[dict[str, Any]], info: dict[str, Any]) -> "Stored":
    """Examples as they are written, and what is wrong with the others: no text, too long, not UTF-8, a NUL byte.

    Args:
        examples: each with ``text`` (bytes or str); ``source`` is 0 where it has none.
    """
    import numpy as np

    from components.core.examples import Stored
    from components.text import texts

    faults, good = {}, []
    for place, example in enumerate(examples):
        text = texts.as_bytes(example["text"])
        if problem := texts.problem(text, info.get("longest", LONGEST)):
            faults[place] = problem
        else:
            good.append((text, example.get("source", 0)))
    contents = [text for text, _ in good]
    columns: dict[str, Any] = {
        "source": np.array([number for _, number in good], np.int64),
        "characters": np.array([len(text.decode()) for text in contents], np.int64),
    }
    return Stored(contents, columns, faults)


def parse(records: "tf.Tensor", info: dict[str, Any]) -> "dict[str, tf.Tensor]":
    """Serialized examples, shape [batch], as tensors [batch]: text and key strings; source and characters int64."""
    from components.core.examples import parsed

    return parsed(records, KINDS)


def profile(info: dict[str, Any]) -> "Corpus":
    """What prepare's report tells: lengths by split and source, and a few texts."""
    from components.tasks.text_generation.summary import Corpus

    return Corpus(list(info.get("sources", ["all"])))


def from_tfds(features: Any, settings: Any) -> "Reading":
    """The texts of a data set with the feature ``text``.

    Raises:
        ValueError: it has others.
    """
    from components.tasks._tfds import Reading

    if "text" not in features:
        raise ValueError(f"has {', '.join(features)}, where text was expected")
    return Reading({"sources": [settings.dataset], "longest": LONGEST}, lambda one: {"text": bytes(one["text"])})


# --- training --------------------------------------------------------------------------------------------------------


def expected(model: Any, data: Any, facts: Any) -> dict[str, Any]:
    """None: a model's own settings say all that its network is made of."""
    return {}


def arguments(model: Any, examples: "Examples") -> dict[str, Any]:
    """None, see ``expected``."""
    return {}


def assets(network: "keras.Model", info: dict[str, Any]) -> dict[str, Any]:
    """What the tokens are, and how many a network sees."""
    from components.text import vocabulary as vocabularies

    own = [layer.vocabulary_assets() for layer in network.layers if hasattr(layer, "vocabulary_assets")]
    return {**(own[0] if own else {"tokens": vocabularies.BYTES}), "length": int(network.input_shape[1])}


def feeding(assets: dict[str, Any], info: dict[str, Any]) -> "Callable[[Any], tuple[tf.Tensor, tf.Tensor]]":
    """The beginning of each text of a parsed batch: inputs int32 [n, length], the sign of the beginning first; and the
    tokens of the first ROW times as many, int32 or int16 [n, ROW x length], -1 after the text's end.

    The loss reads as many targets as there are outputs. The others are what ``augmented`` takes a window from.
    """
    import tensorflow as tf

    from components.text import vocabulary as vocabularies

    vocabulary, length = vocabularies.from_assets(assets), assets["length"]
    kind = tf.int16 if vocabulary.bos < 2**15 else tf.int32

    def fed(batch: "dict[str, tf.Tensor]") -> "tuple[tf.Tensor, tf.Tensor]":
        rows, sizes = vocabulary.encode_in_graph(batch["text"], ROW * length)
        there = tf.range(ROW * length)[None] < sizes[:, None]
        first = tf.where(there, rows, vocabulary.bos)[:, : length - 1]
        inputs = tf.pad(first, [[0, 0], [1, 0]], constant_values=vocabulary.bos)
        return inputs, tf.cast(tf.where(there, rows, -1), kind)

    return fed


def encoded(contents: Any, assets: dict[str, Any], info: dict[str, Any]) -> "np.ndarray":
    """The beginning of each text as ``feeding`` gives it, int32 [n, length], made without TensorFlow."""
    import numpy as np

    from components.text import vocabulary as vocabularies

    vocabulary, length = vocabularies.from_assets(assets), assets["length"]
    inputs = np.full((len(contents), length), vocabulary.bos, np.int32)
    for row, text in zip(inputs, contents, strict=True):
        tokens = vocabulary.encode(text, length - 1)
        row[1 : 1 + len(tokens)] = tokens
    return inputs


def augmented(
    inputs: "tf.Tensor", targets: "tf.Tensor", kinds: tuple[str, ...], seed: "tf.Tensor"
) -> "tuple[tf.Tensor, tf.Tensor]":
    """A random window of each text instead of its beginning: inputs as they were, int32 [n, length], and their targets,
    [n, length]. A window's first input is the token before it, or the sign of the text's beginning."""
    import tensorflow as tf

    if "window" not in kinds:
        return inputs, targets
    length = inputs.shape[1]
    beginning = length // BEGINNING
    sizes = tf.math.count_nonzero(targets >= 0, 1, dtype=tf.int32)
    places = tf.maximum(sizes - length, 0) + beginning
    chance = tf.random.stateless_uniform([tf.shape(inputs)[0]], seed)
    start = tf.maximum(tf.cast(chance * tf.cast(places + 1, tf.float32), tf.int32) - beginning, 0)
    line = tf.concat([inputs[:, :1], tf.cast(targets, tf.int32)], axis=1)
    taken = tf.gather(line, start[:, None] + tf.range(length + 1)[None], batch_dims=1)
    # What follows a text's end is never judged; it only has to be a token.
    return tf.where(taken[:, :-1] < 0, inputs[:, :1], taken[:, :-1]), tf.cast(taken[:, 1:], targets.dtype)


def compile_arguments(network: "keras.Model", info: dict[str, Any]) -> dict[str, Any]:
    """The loss, mean -ln(probability) of the tokens that there are."""
    return {"loss": next_token_loss}


def next_token_loss(targets: Any, logits: Any) -> Any:
    """Mean cross-entropy, in nats a token, a scalar.

    Args:
        targets: [n, length or more], -1 where there is no token; those beyond ``length`` are not read.
        logits: [n, length, tokens].
    """
    from keras import ops

    targets = ops.cast(targets[:, : logits.shape[1]], "int32")
    there = ops.cast(targets >= 0, logits.dtype)
    each = ops.sparse_categorical_crossentropy(ops.maximum(targets, 0), logits, from_logits=True)
    return ops.sum(each * there) / ops.maximum(ops.sum(there), 1)


def problem(network: "keras.Model", info: dict[str, Any]) -> str:
    """Why a network is no language model, or an empty string."""
    takes, gives = tuple(network.input_shape), tuple(network.output_shape)
    if len(takes) != 2 or takes[1] is None or len(gives) != 3 or gives[1] != takes[1]:
        return f"makes {list(gives[1:])} of {list(takes[1:])}, where logits of the next token at each place are needed"
    return ""


def epoch_samples(
    network: "keras.Model", assets: dict[str, Any], info: dict[str, Any], batch: "dict[str, np.ndarray]", seed: int
) -> list[str]:
    """A few texts from their beginning on, drawn as ``Settings`` draws by default."""
    import numpy as np

    from components.text import sampling
    from components.text import vocabulary as vocabularies

    vocabulary, length = vocabularies.from_assets(assets), assets["length"]
    rows, sizes = np.full((SAMPLES, length), vocabulary.bos, np.int32), np.ones(SAMPLES, np.int32)
    run = sampling.compiled(network, _choice(Settings()))
    found = run(rows, sizes, sampling.uniforms(seed, SAMPLES, SAMPLE_TOKENS))
    return [vocabulary.decode(tokens).decode(errors="replace") for tokens in found]


def _choice(settings: Settings) -> Any:
    from components.text.sampling import Sampling

    return Sampling(settings.temperature, settings.top_k, settings.top_p)


# --- judging ---------------------------------------------------------------------------------------------------------


def answers(
    predictor: "Predictor",
    batch: "dict[str, np.ndarray]",
    settings: Settings,
    info: dict[str, Any],
    assets: dict[str, Any],
) -> "dict[str, np.ndarray]":
    """Of examples: ``nats``, -ln of the probability of each whole text, float64 [n], and the ``tokens`` it has. Of bare
    texts, which have no key: their ``continuation``, bytes [n]."""
    import numpy as np

    from components.metrics import likelihood
    from components.text import vocabulary as vocabularies

    vocabulary = vocabularies.from_assets(assets)
    texts = [vocabulary.encode(text) for text in batch["text"]]
    if "key" not in batch:
        return {"continuation": _continued(predictor, texts, vocabulary, settings, assets["length"])}
    nats = np.zeros(len(texts))
    for numbers, inputs, targets in _windows(texts, vocabulary.bos, assets["length"], settings.stride):
        found = likelihood.nats(np.asarray(predictor.run(inputs), np.float32), np.maximum(targets, 0))
        np.add.at(nats, numbers, np.where(targets >= 0, found, 0).sum(axis=1, dtype=np.float64))
    return {"nats": nats, "tokens": np.array([len(text) for text in texts], np.int64)}


def _windows(
    texts: "Sequence[np.ndarray]", begin: int, length: int, stride: int
) -> "Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]":
    """Windows over texts, up to AT_ONCE together: the number of the text of each; the inputs, int32 [m, length]; and
    the targets, int32 [m, length], -1 where there is none or it was judged in an earlier window."""
    import numpy as np

    stride, numbers = min(stride, length), list[int]()
    rows: list[tuple[np.ndarray, np.ndarray]] = []
    for number, text in enumerate(texts):
        before = np.concatenate([[begin], text[:-1]])
        for start in range(0, max(len(text) - length, 0) + stride, stride):
            judged = start + length - stride if start else 0
            if judged >= len(text):
                break
            inputs, targets = np.full(length, begin, np.int32), np.full(length, -1, np.int32)
            part = before[start : start + length]
            inputs[: len(part)] = part
            targets[judged - start : len(part)] = text[judged : start + len(part)]
            numbers.append(number)
            rows.append((inputs, targets))
            if len(rows) == AT_ONCE:
                yield np.array(numbers), np.stack([row[0] for row in rows]), np.stack([row[1] for row in rows])
                numbers, rows = [], []
    if rows:
        yield np.array(numbers), np.stack([row[0] for row in rows]), np.stack([row[1] for row in rows])


def _continued(
    predictor: "Predictor", texts: "list[np.ndarray]", vocabulary: Any, settings: Settings, length: int
) -> "np.ndarray":
    """Continuations of texts, bytes [n]: the same for a text whatever others there are."""
    import numpy as np

    from components.core.inference import objects
    from components.text import sampling

    rows, sizes = np.full((len(texts), length), vocabulary.bos, np.int32), np.empty(len(texts), np.int32)
    for number, text in enumerate(texts):
        line = np.concatenate([[vocabulary.bos], text])[-length:]
        rows[number, : len(line)], sizes[number] = line, len(line)
    numbers = np.repeat(sampling.uniforms(settings.seed, 1, settings.new_tokens), len(texts), axis=0)
    if predictor.network is not None:
        found = sampling.compiled(predictor.network, _choice(settings))(rows, sizes, numbers)
    else:
        found = sampling.generate_without_cache(predictor.run, rows, sizes, numbers, _choice(settings))
    return objects([vocabulary.decode(tokens) for tokens in found])


def truth(batch: "dict[str, np.ndarray]") -> "dict[str, np.ndarray]":
    """Key, source and number of characters."""
    return {name: values for name, values in batch.items() if name != "text"}


def _totals(nats: Any, tokens: Any, characters: Any, mean: Any) -> dict[str, Any]:
    """The metrics from sums over texts, and from the mean of ``log_likelihood``."""
    import numpy as np

    loss = nats / tokens
    return {
        "bits_per_character": nats / np.log(2) / characters,
        "perplexity": np.exp(np.minimum(loss, 700)),
        "loss": loss,
        "log_likelihood": mean,
    }


def score(
    found: "dict[str, np.ndarray]", truth: "dict[str, np.ndarray]", settings: Settings, info: dict[str, Any]
) -> dict[str, float]:
    """The metrics in METRICS."""
    totals = _totals(found["nats"].sum(), found["tokens"].sum(), truth["characters"].sum(), paired(found, truth).mean())
    return {name: float(value) for name, value in totals.items()}


def resampled(
    found: "dict[str, np.ndarray]", truth: "dict[str, np.ndarray]", settings: Settings, scores: dict[str, float]
) -> "Intervals":
    """95% intervals by a bootstrap over texts: ``metrics`` maps a metric to its interval."""
    import numpy as np

    from components.metrics import bootstrap

    columns = np.stack([found["nats"], found["tokens"], truth["characters"], paired(found, truth)], axis=1)
    parts = bootstrap.counts(len(columns), settings.resamples, settings.seed)
    sums = np.concatenate([counts.astype(np.float64) @ columns for counts in parts]).T
    drawn = _totals(sums[0], sums[1], sums[2], sums[3] / len(columns))
    return bootstrap.Intervals({name: bootstrap.interval(values) for name, values in drawn.items()})


def example_values(
    found: "dict[str, np.ndarray]", truth: "dict[str, np.ndarray]", settings: Settings
) -> "dict[str, np.ndarray]":
    """The metrics in SLICE_METRICS, text by text: metric -> float64 [n]."""
    return {"log_likelihood": paired(found, truth)}


def paired(found: "dict[str, np.ndarray]", truth: "dict[str, np.ndarray]") -> "np.ndarray":
    """log2 of each text's probability over its characters, float64 [n]."""
    import numpy as np

    return np.asarray(-found["nats"] / np.log(2) / truth["characters"], np.float64)


def slices(truth: "dict[str, np.ndarray]", info: dict[str, Any]) -> "dict[str, np.ndarray]":
    """Slice name -> bool [n]: by source where there are several, and by quartile of the length in characters."""
    from components.metrics import slicing

    sources = info.get("sources", [])
    found = {f"source {name}": truth["source"] == number for number, name in enumerate(sources) if len(sources) > 1}
    found |= slicing.quarters("length", truth["characters"], QUARTERS)
    return {name: mask for name, mask in found.items() if mask.any()}


def notable(found: "dict[str, np.ndarray]", truth: "dict[str, np.ndarray]") -> "dict[str, np.ndarray]":
    """The texts that take most bits a character, and those that take fewest."""
    import numpy as np

    bits = -paired(found, truth)
    return {HARDEST: bits, EASIEST: 1 / np.maximum(bits, 1e-9)}


def figures(
    found: "dict[str, np.ndarray]",
    truth: "dict[str, np.ndarray]",
    settings: Settings,
    info: dict[str, Any],
    intervals: Any,
    shown: "Mapping[str, Sequence[tuple[int, Any]]]",
) -> "list[Markup]":
    """The report's sections: how many bits a character takes, text by text, and the texts at both ends."""
    import numpy as np
    from matplotlib.figure import Figure

    from components.core import reports
    from components.text import texts

    bits = -paired(found, truth)
    drawing = Figure(figsize=(6, 2.6))
    axes = drawing.subplots()
    axes.hist(bits, bins=min(60, max(10, len(bits) // 20)))
    axes.set_xlabel("bits a character")
    axes.set_ylabel("texts")
    told = (
        f"{int(found['tokens'].sum()):,} tokens of {len(bits):,} texts, {int(truth['characters'].sum()):,} characters; "
        f"the middle half of the texts takes {np.quantile(bits, 0.25):.3f} to {np.quantile(bits, 0.75):.3f} bits a "
        f"character"
    )
    parts = [reports.section("Bits a character", reports.figure(drawing, "bits a character", told))]
    for title, few in shown.items():
        rows = [[f"{bits[number]:.3f}", texts.excerpt(content, SHOWN_CHARACTERS)] for number, content in few[:SHOWN]]
        if rows:
            parts.append(reports.section(title, reports.table(["bits a character", "text"], rows, numeric=False)))
    return parts


def baseline(data: "Examples", settings: Settings) -> tuple[str, dict[str, float]]:
    """An interpolated Kneser-Ney model of 5-grams of bytes, counted on the train split and judged on the test split.

    Its perplexity is not told: it would be one of bytes, whatever the network's tokens are.
    """
    import numpy as np

    from components.tasks.text_generation import kneser_ney

    def texts(split: str) -> "Iterable[np.ndarray]":
        for batch in data.batches(split, 1024):
            yield from (np.frombuffer(text, np.uint8) for text in batch["text"].numpy())

    model = kneser_ney.counted(texts("train"), ORDER, 256)
    bits, characters = [], []
    for batch in data.batches("test", 1024):
        tokens = [np.frombuffer(text, np.uint8) for text in batch["text"].numpy()]
        lost = -np.log2(model.probabilities(tokens))
        starts = np.cumsum([0, *map(len, tokens)])[:-1]
        bits.append(np.add.reduceat(lost, starts))
        characters.append(batch["characters"].numpy())
    total, count = np.concatenate(bits), np.concatenate(characters)
    return "interpolated Kneser-Ney, 5-grams of bytes", {
        "bits_per_character": float(total.sum() / count.sum()),
        "log_likelihood": float(-(total / count).mean()),
    }


# --- export and prediction -------------------------------------------------------------------------------------------


def served(
    network: "keras.Model", assets: dict[str, Any], info: dict[str, Any]
) -> "tuple[tf.TensorSpec, Callable[[tf.Tensor], dict[str, tf.Tensor]]]":
    """A SavedModel takes texts and answers with the logits of their beginning, and with their continuation as
    ``Settings`` makes it by default: the bytes that ``predict`` gives, as many as half of what the network sees."""
    import tensorflow as tf

    from components.text import sampling
    from components.text import vocabulary as vocabularies

    settings, vocabulary, length = Settings(), vocabularies.from_assets(assets), assets["length"]
    fed, numbers = feeding(assets, info), sampling.uniforms(settings.seed, 1, settings.new_tokens)[:, : length // 2]

    def answer(texts: "tf.Tensor") -> "dict[str, tf.Tensor]":
        last, sizes, whole = vocabulary.encode_last_in_graph(texts, length)
        # With the sign of its beginning, a text of length - 1 tokens fills a row.
        whole &= sizes < length
        inputs, _ = fed({"text": texts})
        rows = tf.where(whole[:, None], inputs, last)
        uniform = tf.repeat(tf.constant(numbers), tf.shape(texts)[0], axis=0)
        sizes = tf.where(whole, sizes + 1, sizes)
        *_, tokens = sampling.generate(network, rows, sizes, uniform, _choice(settings))
        return {"outputs": network(inputs, training=False), "continuation": vocabulary.decode_in_graph(tokens)}

    return tf.TensorSpec([None], tf.string, name="text"), answer


def predictions(found: "dict[str, np.ndarray]", settings: Settings, info: dict[str, Any]) -> list[dict[str, Any]]:
    """The continuation of each text; of judged examples, their ``nats`` and ``tokens``."""
    if "continuation" in found:
        return [{"continuation": text.decode(errors="replace")} for text in found["continuation"]]
    return [
        {"nats": float(nats), "tokens": int(tokens)}
        for nats, tokens in zip(found["nats"], found["tokens"], strict=True)
    ]


def row(prediction: Mapping[str, Any]) -> dict[str, str]:
    """A prediction as a line of a table."""
    return {"continuation": str(prediction["continuation"])}


def typed(text: str, info: dict[str, Any]) -> bytes:
    """A text from the command line, which may be empty: then a text is made from its beginning on."""
    return _checked(text.encode("utf-8", "surrogatepass"), "the text", info)


def _checked(text: bytes, name: str, info: dict[str, Any]) -> bytes:
    """The text.

    Raises:
        StepError: it is none.
    """
    from components.text import texts

    if text.strip() and (fault := texts.problem(text, LONGEST)):
        raise StepError(f"{name}: {fault}", advice="give a text in UTF-8", kind="data")
    return text


def read_inputs(path: str, info: dict[str, Any]) -> list[tuple[str, bytes]]:
    """Name and bytes of a text file, or of every .txt file in a folder.

    Raises:
        StepError: there is none, or one is not UTF-8.
    """
    from pathlib import Path

    place = Path(path)
    files = sorted(place.glob("*.txt")) if place.is_dir() else [place]
    if not files:
        raise StepError(f"{path} has no .txt file", advice="give a text file, a folder of them, or --text")
    read = []
    for file in files:
        try:
            read.append((str(file), _checked(file.read_bytes().removesuffix(b"\n"), str(file), info)))
        except OSError as error:
            raise StepError(f"{file} cannot be read ({error.strerror})", advice="give a text file, or --text") from None
    return read


def described(info: dict[str, Any]) -> dict[str, Any]:
    """Facts for the model card."""
    return {"input": "a text in UTF-8, which it continues", "sources": ", ".join(map(str, info.get("sources", [])))}


def limits(info: dict[str, Any], settings: Mapping[str, Any]) -> list[str]:
    """What a user of the model should know it cannot do, in sentences."""
    return [
        "It continues texts of the kind it was trained on; what it says is likely there, and need not be true.",
        "It may repeat parts of the texts it was trained on, names and insults among them.",
        "It sees only the last tokens of a long text.",
    ]
