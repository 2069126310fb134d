"""A Transformer encoder over the words of a text (Vaswani et al., 2017, arXiv:1706.03762), averaged into one answer."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from components.core.config import Positive
from components.models._heads import WithHeads

if TYPE_CHECKING:
    import keras

# Added to the attention's logits at padding.
UNSEEN = -30.0


class Settings(WithHeads):
    """A small encoder: blocks that normalize first (Xiong et al., 2020, arXiv:2002.04745), and a masked mean.

    Attributes:
        vocabulary_size: at most so many words, the most frequent ones of the train split.
        length: words of a text that are read, the first ones.
        width: of a word's vector and of each block.
        layers: blocks.
        heads: of the attention in each block; they divide ``width``.
        hidden: units between the two dense layers of a block.
        dropout: fraction dropped of the embeddings, in each block and before the last layer.
    """

    interface: ClassVar[str] = "text -> classes"

    name: Literal["transformer"] = "transformer"
    vocabulary_size: Positive = 20_000
    length: Positive = 256
    width: Positive = 64
    layers: Positive = 1
    heads: Positive = 2
    hidden: Positive = 128
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3


def build(settings: Settings, vocabulary: list[str], units: int) -> "keras.Model":
    """The network, from the numbers of words, int32 [batch, length], to logits.

    Args:
        vocabulary: the words in the order of their numbers.
        units: how many logits.
    """
    import keras

    from components.layers import attention, text
    from components.text import words

    inputs = keras.Input((settings.length,), dtype="int32", name="words")
    numbers = text.Vocabulary(vocabulary, name="vocabulary")(inputs)
    visible = keras.ops.not_equal(numbers, words.PADDING)
    x = keras.layers.Embedding(words.FIRST + len(vocabulary), settings.width, name="embedding")(numbers)
    x = attention.Positions(settings.length, name="positions")(x)
    x = keras.layers.Dropout(settings.dropout)(x)
    for number in range(1, settings.layers + 1):
        # relu and a mild mask: ONNX Runtime has no exact gelu of tf2onnx, and int8 no room for -1e9.
        block = attention.Block(
            settings.heads,
            settings.hidden,
            dropout=settings.dropout,
            activation="relu",
            unseen=UNSEEN,
            name=f"block{number}",
        )
        x = block(x, visible=visible)
    x = text.MaskedMean(name="pool")(keras.layers.LayerNormalization(epsilon=1e-5, name="norm")(x), visible)
    x = keras.layers.Dropout(settings.dropout)(x)
    # Logits stay float32 whatever the precision: softmax and loss need the digits.
    logits = keras.layers.Dense(units, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name="transformer")
