"""What the recurrent networks that read texts share: settings, and all but the kind of cell."""

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from components.core.config import Positive
from components.models import ModelSettings

if TYPE_CHECKING:
    import keras


class RecurrentSettings(ModelSettings):
    """A recurrent network that reads a text forwards and backwards.

    Attributes:
        vocabulary_size: at most so many words, the most frequent ones of the train split.
        length: words of a text that are read, the first ones.
        width: of a word's vector.
        units: of each direction.
        dropout: fraction dropped of the words' vectors, whole columns at a time, and before the last layer.
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
    """The network, from the numbers of words, int32 [batch, length], to logits.

    Args:
        vocabulary: the words in the order of their numbers.
        units: how many logits.
        layer: gives its last output.
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
    # Logits stay float32 whatever the precision: softmax and loss need the digits.
    logits = keras.layers.Dense(units, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name=name)
