"""Text classification: one label for one text."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from components.core.config import Positive
from components.tasks import EvaluationSettings

if TYPE_CHECKING:
    import tensorflow as tf

    from components.core.examples import Stored

# The metrics that ``require`` may name, and which way is better.
METRICS: dict[str, Literal["max", "min"]] = {
    "accuracy": "max",
    "top_k": "max",
    "macro_f1": "max",
    "roc_auc": "max",
    "loss": "min",
    "calibration_error": "min",
}
# Those that ``require_slices`` may name: means over examples, which a slice of one class has too.
SLICE_METRICS = ("accuracy", "top_k", "loss")
# Compared example by example between champion and challenger.
PAIRED_METRIC = "accuracy"


class Settings(EvaluationSettings):
    """How to judge a classifier.

    Attributes:
        top_k: how many of the best labels count for top-k accuracy and are predicted.
        abstain_below: predict no label where the best probability is lower.
    """

    metrics = METRICS
    slice_metrics = SLICE_METRICS
    shares = frozenset(METRICS) - {"loss"}

    top_k: Positive = 1
    abstain_below: Annotated[float, Field(ge=0, le=1)] = 0.0


# --- examples: what prepare writes and every step reads --------------------------------------------------------------

# The features in the order of writing: the content, of which the key is made, the key, and those that ``stored`` gives.
KINDS: dict[str, type] = {"text": bytes, "key": bytes, "label": int, "source": int, "bytes": int}


def features(info: dict[str, Any]) -> dict[str, Any]:
    """The TFDS features of an example: ``text``, ``label`` and ``key``, plus the recorded attributes: the number of its
    ``source`` and its length in ``bytes``."""
    import numpy as np
    from tensorflow_datasets import features as kinds

    return {
        "text": kinds.Text(),
        "label": kinds.ClassLabel(names=info["classes"]),
        "key": kinds.Text(),
        "source": kinds.Scalar(np.int64),
        "bytes": kinds.Scalar(np.int64),
    }


def stored(examples: list[dict[str, Any]], info: dict[str, Any]) -> "Stored":
    """Examples as they are written, and what is wrong with the others: no text, too long, not UTF-8, a NUL byte, a
    label outside the classes.

    Args:
        examples: each with ``text`` (bytes or str) and ``label``; ``source`` is 0 where it has none.
    """
    import numpy as np

    from components.core import texts
    from components.core.examples import Stored

    last = len(info["classes"]) - 1
    faults, good = {}, []
    for place, example in enumerate(examples):
        text, label = texts.as_bytes(example["text"]), example["label"]
        if fault := texts.fault(text, info["longest"]):
            faults[place] = fault
        elif not 0 <= label <= last:
            faults[place] = f"label {label} is outside 0..{last}"
        else:
            good.append((text, label, example.get("source", 0)))
    contents = [text for text, _, _ in good]
    columns = {
        "label": np.array([label for _, label, _ in good], np.int64),
        "source": np.array([number for _, _, number in good], np.int64),
        "bytes": np.array([len(text) for text in contents], np.int64),
    }
    return Stored(contents, columns, faults)


def parse(records: "tf.Tensor", info: dict[str, Any]) -> "dict[str, tf.Tensor]":
    """Serialized examples, shape [batch], as tensors [batch]: text and key strings; label, source and bytes int64."""
    import tensorflow as tf

    kinds = {name: tf.string if kind is bytes else tf.int64 for name, kind in KINDS.items()}
    batch: dict[str, tf.Tensor] = tf.io.parse_example(
        records, {name: tf.io.FixedLenFeature([], kind) for name, kind in kinds.items()}
    )
    return batch
