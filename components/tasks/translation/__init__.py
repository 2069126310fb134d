"""Translation: a sentence in one language for a sentence in another."""

from typing import Annotated, Any, ClassVar, Literal, TypedDict

from pydantic import Field

from components.core.config import Positive
from components.tasks import EvaluationSettings

INTERFACE = "source -> target"
# Bytes of a sentence: a longer one is not a sentence.
LONGEST = 10_000


class Settings(EvaluationSettings):
    """How to evaluate a translator, and how it translates.

    Attributes:
        beam: the width of beam search; 1 takes the best token each time.
        length_penalty: 0 favours short translations, 1 treats long ones about alike (GNMT's alpha).
    """

    # chrF and BLEU are sacrebleu's, from 0 to 100.
    metrics: ClassVar[dict[str, Literal["max", "min"]]] = {
        "exact_match": "max",
        "sentence_chrf": "max",
        "chrf": "max",
        "bleu": "max",
        "token_accuracy": "max",
        "loss": "min",
    }
    slice_metrics = ("exact_match", "sentence_chrf")
    # chrF of the sentence, between 0 and 1, says more than whether all of it is right, and serves numbers and prose.
    paired_metric = "sentence_chrf"
    shares = frozenset({"exact_match", "sentence_chrf", "token_accuracy"})

    beam: Positive = 1
    length_penalty: Annotated[float, Field(ge=0, le=5)] = 0.6


class Info(TypedDict):
    """What the task knows of its data.

    Attributes:
        languages: of source and target.
    """

    languages: list[str]


def expected_arguments(model: Any, data: Any, facts: Any) -> dict[str, Any]:
    """``pieces``: as many as the model asks for, before it is known which."""
    return {"pieces": [f"piece {number}" for number in range(model.pieces)]}


def sentence_fault(text: bytes) -> str:
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
        return f"is not UTF-8 from byte {error.start:,} on: save it as UTF-8"
    return ""
