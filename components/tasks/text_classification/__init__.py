"""Text classification: one label for one text."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from components.core.errors import StepError
from components.tasks import _classifier

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf
    from markupsafe import Markup

    from components.core.examples import Examples, Stored
    from components.tasks._tfds import Reading
    from components.tasks.text_classification.summary import Texts

INTERFACE = "text -> classes"
CONTENT = "text"
AUGMENTATIONS = ()
EXACT = _classifier.EXACT
METRICS, SLICE_METRICS, PAIRED_METRIC = _classifier.METRICS, _classifier.SLICE_METRICS, _classifier.PAIRED_METRIC
TFIDF = "tfidf_logistic"
# Examples read at once for what the whole train split is needed for.
READ = 1024


class Settings(_classifier.ClassifierSettings):
    """How to judge a classifier of texts: ``components.tasks._classifier.ClassifierSettings``."""

    baselines = (TFIDF,)


# --- examples: what prepare writes and every step reads --------------------------------------------------------------

# The features in the order of writing: the content, of which the key is made, the key, and those that ``stored`` gives.
KINDS: dict[str, type] = {"text": bytes, "key": bytes, "label": int, "source": int, "words": float}


def features(info: dict[str, Any]) -> dict[str, Any]:
    """The TFDS features of an example: ``text``, ``label`` and ``key``, plus the recorded attributes: the number of its
    ``source`` and of its ``words``."""
    import numpy as np
    from tensorflow_datasets import features as kinds

    return {
        "text": kinds.Text(),
        "label": kinds.ClassLabel(names=info["classes"]),
        "key": kinds.Text(),
        "source": kinds.Scalar(np.int64),
        "words": kinds.Scalar(np.float32),
    }


def stored(examples: list[dict[str, Any]], info: dict[str, Any]) -> "Stored":
    """Examples as they are written, and what is wrong with the others: no text, too long, not UTF-8, a NUL byte, a
    label outside the classes.

    Args:
        examples: each with ``text`` (bytes or str), ``label``, and where there are several sources ``source``,
            its number.
    """
    import numpy as np

    from components.core.examples import Stored
    from components.text import texts, words

    last = len(info["classes"]) - 1
    faults, good = {}, []
    for place, example in enumerate(examples):
        text, label = texts.as_bytes(example["text"]), example["label"]
        if problem := texts.problem(text, info["longest"]):
            faults[place] = problem
        elif not 0 <= label <= last:
            faults[place] = f"label {label} is outside 0..{last}"
        else:
            good.append((text, label, example.get("source", 0)))
    contents = [text for text, _, _ in good]
    columns: dict[str, np.ndarray | list[bytes]] = {
        "label": np.array([label for _, label, _ in good], np.int64),
        "source": np.array([number for _, _, number in good], np.int64),
        "words": np.array([len(words.words(text)) for text in contents], np.float32),
    }
    return Stored(contents, columns, faults)


def profile(info: dict[str, Any]) -> "Texts":
    """What prepare's report tells: classes, sources, lengths, and texts of each class."""
    from components.tasks.text_classification.summary import Texts

    return Texts(info["classes"], info["sources"])


def from_tfds(features: Any, settings: Any) -> "Reading":
    """Texts and classes of a data set with a feature ``label`` and one of text, or one that is called ``text``.

    Raises:
        ValueError: it has others.
    """
    import tensorflow_datasets as tfds

    from components.tasks._tfds import Reading
    from components.text import texts

    found = [name for name, kind in features.items() if isinstance(kind, tfds.features.Text)]
    content = "text" if "text" in found else found[0] if len(found) == 1 else ""
    if not content or "label" not in features or not isinstance(features["label"], tfds.features.ClassLabel):
        raise ValueError(f"has {', '.join(features)}, where one text and label (a class) were expected")
    name = getattr(settings, "dataset", settings.name)
    info = {"classes": list(features["label"].names), "sources": [name], "longest": texts.MAX_BYTES}
    return Reading(info, lambda one: {"text": one[content], "label": int(one["label"]), "source": 0})


def parse(records: "tf.Tensor", info: dict[str, Any]) -> "dict[str, tf.Tensor]":
    """Serialized examples, shape [batch], as tensors [batch]: text and key strings; label and source int64, words
    float32."""
    from components.core.examples import parsed

    return parsed(records, KINDS)


# --- training --------------------------------------------------------------------------------------------------------


def expected(model: Any, data: Any, facts: Any) -> dict[str, Any]:
    """``vocabulary``, of as many words as the model's may have, and ``units``.

    Raises:
        StepError: the number of classes is not known yet.
    """
    words = [f"word{number}" for number in range(model.vocabulary_size)]
    return {"vocabulary": words, "units": _classifier.expected_units(data, facts)}


def arguments(model: Any, examples: "Examples") -> dict[str, Any]:
    """``vocabulary``, the most frequent words of the train split, and ``units``, one logit a class.

    Raises:
        StepError: there are no words.
    """
    from components.text import words

    found = words.build_vocabulary((text for text, _ in _read(examples, "train")), model.vocabulary_size)
    if not found:
        raise StepError("the training texts have no words", advice="check what data gives as texts")
    return {"vocabulary": found, "units": len(examples.info["classes"])}


def _read(examples: "Examples", split: str) -> "Sequence[tuple[bytes, int]]":
    """Text and label of every example of a split."""
    found: list[tuple[bytes, int]] = []
    for batch in examples.batches(split, READ):
        found += zip(batch["text"].numpy().tolist(), batch["label"].numpy().tolist(), strict=True)
    return found


def assets(network: "keras.Model", info: dict[str, Any]) -> dict[str, Any]:
    """``vocabulary``, the words in the order of their numbers, and ``length``, how many words of a text are read."""
    from components.layers import text

    return {"vocabulary": text.words_of(network), "length": int(network.input_shape[1])}


def feeding(assets: dict[str, Any], info: dict[str, Any]) -> "Callable[[Any], tuple[Any, Any]]":
    """The numbers of a batch's words, int32 [batch, length], and its labels."""
    from components.text import words

    encode = words.WordTokenizer(assets["vocabulary"], assets["length"])
    return lambda batch: (encode(batch["text"]), batch["label"])


def encoded(contents: "Sequence[bytes] | np.ndarray", assets: dict[str, Any], info: dict[str, Any]) -> "np.ndarray":
    """The numbers of the texts' words, int32 [n, length]."""
    from components.text import words

    return words.encode(contents, assets["vocabulary"], assets["length"])


def problem(network: "keras.Model", info: dict[str, Any]) -> str:
    """Why a network cannot take these texts, or an empty string."""
    from components.layers import text

    if not text.words_of(network) or len(network.input_shape) != 2:
        return "does not take the numbers of words, or has no vocabulary"
    return _classifier.other_units(network, info)


compile_arguments = _classifier.compile_arguments


def served(
    network: "keras.Model", assets: dict[str, Any], info: dict[str, Any]
) -> "tuple[tf.TensorSpec, Callable[[tf.Tensor], dict[str, tf.Tensor]]]":
    """A SavedModel takes texts as they are, strings [n] of any bytes, and answers with logits and probabilities."""
    import tensorflow as tf

    from components.text import words

    encode = words.WordTokenizer(assets["vocabulary"], assets["length"])
    return _classifier.with_probabilities(
        tf.TensorSpec([None], tf.string, name="text"), lambda texts: network(encode(texts), training=False)
    )


def augmented(inputs: Any, targets: Any, kinds: tuple[str, ...], seed: Any) -> tuple[Any, Any]:
    """As they are: no change of a text is known to leave its label."""
    return inputs, targets


# --- judging ---------------------------------------------------------------------------------------------------------


answers, truth = _classifier.answers_to(CONTENT, encoded), _classifier.truth_beside(CONTENT)
score, resampled, example_values = _classifier.score, _classifier.resampled, _classifier.example_values
paired, notable = _classifier.paired, _classifier.notable
class_figures, predictions, row = _classifier.class_figures, _classifier.predictions, _classifier.row


def slices(truth: "dict[str, np.ndarray]", info: dict[str, Any]) -> "dict[str, np.ndarray]":
    """Slice name -> boolean mask [n]: by class, by quartile of the number of words, and by source where there are
    several."""
    found = _classifier.slices(truth, info)
    sources = {f"source {name}": truth["source"] == number for number, name in enumerate(info["sources"])}
    return found | {name: mask for name, mask in sources.items() if mask.any() and not mask.all()}


def _table(pairs: "list[tuple[bytes, str]]") -> "Markup":
    from components.core import reports
    from components.text import texts

    rows = [[caption, texts.excerpt(text)] for text, caption in pairs]
    return reports.table(["mistake", "text"], rows, numeric=False)


figures = _classifier.figures_with(_table)


def baseline(data: "Examples", settings: Settings) -> tuple[str, dict[str, float]]:
    """Title and metrics, on the test split, of scikit-learn's logistic regression on TF-IDF of the train split's words,
    both with the library's own settings.

    Raises:
        StepError: the train split has one class only.
    """
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    train, test = _read(data, "train"), _read(data, "test")
    if len({label for _, label in train}) < 2:
        raise StepError("evaluation.baseline: the train split has one class only", advice="set it to nothing")
    words = TfidfVectorizer()
    weights = words.fit_transform([text.decode() for text, _ in train])
    fitted = LogisticRegression(max_iter=1000).fit(weights, [label for _, label in train])
    # A class that train does not have is never said.
    logits = np.full((len(test), len(data.info["classes"])), np.log(np.finfo(np.float32).tiny))
    logits[:, fitted.classes_] = fitted.predict_log_proba(words.transform([text.decode() for text, _ in test]))
    labels = {"label": np.array([label for _, label in test], np.int64)}
    scores = score({"logits": logits}, labels, settings, data.info)
    return "TF-IDF and logistic regression (scikit-learn)", {name: scores[name] for name in METRICS if name in scores}


# --- export and prediction -------------------------------------------------------------------------------------------


def read_inputs(path: str, info: dict[str, Any]) -> list[tuple[str, bytes]]:
    """Name and bytes of every text in a .txt file, a folder of them, or the column ``text`` of a .csv, .tsv, .jsonl or
    .ndjson file.

    Raises:
        StepError: one of them cannot be read, or is no text.
    """
    from components.text import texts

    return texts.read(path, info["longest"])


def typed(text: str, info: dict[str, Any]) -> bytes:
    """A text as it was typed.

    Raises:
        StepError: it is none.
    """
    from components.text import texts

    content = texts.as_bytes(text)
    if problem := texts.problem(content, info["longest"]):
        raise StepError(problem, kind="settings")
    return content


def described(info: dict[str, Any]) -> dict[str, Any]:
    """Facts for the model card."""
    return {"input": "a text", "classes": len(info["classes"]), "sources": ", ".join(info["sources"])}


def limits(info: dict[str, Any], settings: Mapping[str, Any]) -> list[str]:
    """What a user should know."""
    read = (
        "It reads the first words of a text only, as many as its network is long, and knows no words but the most "
        "frequent ones of its training texts: a text in another language is all unknown words to it."
    )
    return [*_classifier.limits(info, settings), read]
