"""A causal Transformer over bytes that predicts the next one."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from components.core.config import Positive
from components.models._heads import WithHeads

if TYPE_CHECKING:
    import keras

# The bytes and BOS.
TOKENS = 257


class Settings(WithHeads):
    """The defaults are small, for a CPU.

    Attributes:
        length: context length in bytes.
        width: of the vectors between blocks.
        layers: number of blocks.
        heads: attention heads, which divide the width.
        hidden: units between the two dense layers of a feed-forward network; 0 is four times the width.
        positions: learned, or sinusoidal.
        ngrams: lengths of the n-grams of bytes that have vectors of their own, in a table; empty for bytes alone.
        buckets: rows of that table for each length.
        dropout: rate on the outputs of each block.
        activation: of the feed-forward networks; on a CPU a GELU takes about six times as long as a ReLU.
    """

    interface: ClassVar[str] = "text -> next token"
    name: Literal["causal_transformer"] = "causal_transformer"
    length: Annotated[int, Field(ge=8, le=65536)] = 256
    width: Positive = 192
    layers: Positive = 4
    heads: Positive = 3
    hidden: Annotated[int, Field(ge=0)] = 0
    positions: Literal["learned", "sinusoidal"] = "learned"
    ngrams: tuple[Annotated[int, Field(ge=2, le=8)], ...] = (2, 3, 4)
    buckets: Annotated[int, Field(ge=1, le=2**17)] = 2**15
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    activation: Literal["relu", "gelu", "silu"] = "relu"


def build(settings: Settings) -> "keras.Model":
    """The network, int32 [n, length] -> float32 logits [n, length, 257]: at each position those of the next byte.

    It is a chain of layers, which components/text/sampling.py steps through one token at a time.
    """
    import keras

    from components.layers.attention import Block, Positions
    from components.layers.ngrams import NGramEmbedding

    tokens = keras.Input((settings.length,), dtype="int32", name="tokens")
    x = NGramEmbedding(TOKENS, settings.width, settings.ngrams, settings.buckets, name="embedding")(tokens)
    x = Positions(settings.length, settings.positions, name="positions")(x)
    hidden = settings.hidden or 4 * settings.width
    for number in range(settings.layers):
        x = Block(
            settings.heads,
            hidden,
            causal=True,
            dropout=settings.dropout,
            activation=settings.activation,
            name=f"block_{number}",
        )(x)
    x = keras.layers.LayerNormalization(epsilon=1e-5, name="norm")(x)
    # Logits are float32 in every precision: softmax and loss need it.
    logits = keras.layers.Dense(TOKENS, dtype="float32", name="logits")(x)
    return keras.Model(tokens, logits, name="causal_transformer")
