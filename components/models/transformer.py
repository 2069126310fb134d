"""A Transformer encoder over the words of a text (Vaswani et al., 2017, arXiv:1706.03762), with mean pooling."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from components.core.config import Positive
from components.models._heads import WithHeads

if TYPE_CHECKING:
    import keras

# Added to the attention's logits at padding.
MASKED = -30.0


class Settings(WithHeads):
    """A small encoder: pre-norm blocks (Xiong et al., 2020, arXiv:2002.04745), and a masked mean.

    Attributes:
        vocabulary_size: maximum number of words, the most frequent ones of the train split.
        length: number of words that are read, from the beginning of a text.
        width: of the word vectors and of each block.
        layers: number of blocks.
        heads: attention heads, which divide the width.
        hidden: units between the two dense layers of a block.
        dropout: rate on the embeddings, in each block and before the last layer.
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
    """The network, from word ids, int32 [batch, length], to logits.

    Args:
        vocabulary: the words in the order of their ids.
        units: number of logits.
    """
    import keras

    from components.layers import attention, text
    from components.text import words

    inputs = keras.Input((settings.length,), dtype="int32", name="words")
    ids = text.Vocabulary(vocabulary, name="vocabulary")(inputs)
    visible = keras.ops.not_equal(ids, words.PADDING)
    x = keras.layers.Embedding(words.FIRST + len(vocabulary), settings.width, name="embedding")(ids)
    x = attention.Positions(settings.length, name="positions")(x)
    x = keras.layers.Dropout(settings.dropout)(x)
    for number in range(1, settings.layers + 1):
        # ReLU and a mild mask: tf2onnx's exact GELU does not run in ONNX Runtime, and int8 has no room for -1e9.
        block = attention.Block(
            settings.heads,
            settings.hidden,
            dropout=settings.dropout,
            activation="relu",
            unseen=MASKED,
            name=f"block{number}",
        )
        x = block(x, visible=visible)
    x = text.MaskedMean(name="pool")(keras.layers.LayerNormalization(epsilon=1e-5, name="norm")(x), visible)
    x = keras.layers.Dropout(settings.dropout)(x)
    # Logits are float32 in every precision: softmax and loss need it.
    logits = keras.layers.Dense(units, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name="transformer")
