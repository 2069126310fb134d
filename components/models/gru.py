"""A bidirectional GRU over the words of a text (Cho et al., 2014, arXiv:1406.1078)."""

from typing import TYPE_CHECKING, Literal

from components.models._recurrent import RecurrentSettings, network

if TYPE_CHECKING:
    import keras


class Settings(RecurrentSettings):
    """Gated recurrent units: ``components.models._recurrent.RecurrentSettings``."""

    name: Literal["gru"] = "gru"


def build(settings: Settings, vocabulary: list[str], units: int) -> "keras.Model":
    """The network, from word ids, int32 [batch, length], to ``units`` logits."""
    from components.layers import recurrent

    return network(settings, vocabulary, units, recurrent.GRU, "gru")
