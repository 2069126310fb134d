"""A bidirectional LSTM over the words of a text (Hochreiter and Schmidhuber, 1997)."""

from typing import TYPE_CHECKING, Literal

from components.models._recurrent import RecurrentSettings, network

if TYPE_CHECKING:
    import keras


class Settings(RecurrentSettings):
    """A long short-term memory: ``components.models._recurrent.RecurrentSettings``."""

    name: Literal["lstm"] = "lstm"


def build(settings: Settings, vocabulary: list[str], units: int) -> "keras.Model":
    """The network, from word ids, int32 [batch, length], to ``units`` logits."""
    from components.layers import recurrent

    return network(settings, vocabulary, units, recurrent.LSTM, "lstm")
