"""Recurrent text classifiers: shared settings, and the network for a given kind of cell."""

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from components.core.config import Positive
from components.models import ModelSettings

if TYPE_CHECKING:
    import keras


class RecurrentSettings(ModelSettings):
    """A bidirectional recurrent network.

    Attributes:
        vocabulary_size: maximum number of words, the most frequent ones of the train split.
        length: number of words that are read, from the beginning of a text.
        width: of the word vectors.
        units: of each direction.
        dropout: rate on the word vectors, whole features at a time, and before the last layer.
    """

    interface: ClassVar[str] = "text -> classes"

    vocabulary_size: Positive = 20_000
    length: Positive = 256
    width: Positive = 64
    units: Positive = 64
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3


def network(
    settings: RecurrentSettings, vocabulary: list[str], units: int, layer: "type[keras.layers.RNN]", name: str
) -> "keras.Model":
    """The network, from word ids, int32 [batch, length], to logits.

    Args:
        vocabulary: the words in the order of their ids.
        units: number of logits.
        layer: a recurrent layer that returns its last output.
    """
    import keras

    from components.layers import text
    from components.text import words

    inputs = keras.Input((settings.length,), dtype="int32", name="words")
    x = text.Vocabulary(vocabulary, name="vocabulary")(inputs)
    x = keras.layers.Embedding(words.FIRST + len(vocabulary), settings.width, mask_zero=True, name="embedding")(x)
    x = keras.layers.SpatialDropout1D(settings.dropout)(x)
    x = keras.layers.Bidirectional(layer(settings.units), name=name)(x)
    x = keras.layers.Dropout(settings.dropout)(x)
    # Logits are float32 in every precision: softmax and loss need it.
    logits = keras.layers.Dense(units, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name=name)
