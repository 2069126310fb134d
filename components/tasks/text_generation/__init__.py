"""Text generation: the next token of a text, and so its continuation."""

from typing import Annotated, ClassVar, Literal, NotRequired, TypedDict

from pydantic import Field

from components.core.config import Count, Positive
from components.tasks import EvaluationSettings

INTERFACE = "text -> next token"
# Train on a random part of each text, another one in each epoch, and not always on its beginning.
AUGMENTATIONS = ("window",)
KNESER_NEY = "kneser_ney_5gram"
# Bytes of a text, at most, unless its source says otherwise.
LONGEST = 10_000_000


class Settings(EvaluationSettings):
    """How to evaluate a language model, and how it continues a text.

    Attributes:
        stride: a held-out text is read in windows as long as the network's input, one every so many tokens; a token is
            scored once, in the first window that has it. A smaller stride gives it more context, and takes longer.
        new_tokens: how many tokens a continuation has.
        temperature: logits are divided by it before a token is drawn; 0 always takes the best one.
        top_k: only so many of the best tokens are drawn from; 0 for all.
        top_p: only the best tokens that together have this probability.
    """

    # All are of whole held-out texts, each token predicted once. ``bits_per_character``: -log2 of the probability of
    # all texts, over their Unicode characters, so that it does not depend on what the tokens are. ``loss``: the mean of
    # -ln(probability) over tokens; ``perplexity`` its exponential. ``log_likelihood``: the mean over texts of log2 of a
    # text's probability, over the characters of that text: at most 0.
    metrics: ClassVar[dict[str, Literal["max", "min"]]] = {
        "bits_per_character": "min",
        "perplexity": "min",
        "loss": "min",
        "log_likelihood": "max",
    }
    slice_metrics = ("log_likelihood",)
    paired_metric = "log_likelihood"
    # Eight bits a character store a text of bytes without any model; one that costs more counts as this much.
    paired_range = (-8.0, 0.0)
    baselines = (KNESER_NEY,)

    stride: Positive = 128
    new_tokens: Positive = 100
    temperature: Annotated[float, Field(ge=0)] = 0.8
    top_k: Count = 0
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.95


class Info(TypedDict):
    """What the task knows of its data.

    Attributes:
        sources: names of where the texts come from, in the order of their numbers.
        longest: bytes of a text, at most.
    """

    sources: NotRequired[list[str]]
    longest: NotRequired[int]
