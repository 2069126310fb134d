"""A causal Transformer over bytes, which predicts the next one."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from components.core.config import Positive
from components.models._heads import WithHeads

if TYPE_CHECKING:
    import keras

# Every byte, and the sign of a text's beginning.
TOKENS = 257


class Settings(WithHeads):
    """A small one by default, for a CPU.

    Attributes:
        length: bytes that it sees at once.
        width: numbers a place has between two blocks.
        layers: blocks of attention and a feed-forward network.
        heads: of each attention; they share the width.
        hidden: units between the two dense layers of a feed-forward network; 0 is four times the width.
        positions: learned, or sinusoidal.
        ngrams: lengths of the n-grams of bytes that have vectors of their own, in a table; none for bytes alone.
        buckets: rows of that table for each length.
        dropout: fraction that training drops of each block's outputs.
        activation: of the feed-forward networks; a CPU computes a GELU about six times as long as a ReLU.
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
    """The network, int32 [n, length] -> float32 logits [n, length, 257]: at each place those of the next byte.

    It is a chain of layers: components/text/sampling.py goes through them a token at a time.
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
    # Logits stay float32 whatever the precision: softmax and loss need the digits.
    logits = keras.layers.Dense(TOKENS, dtype="float32", name="logits")(x)
    return keras.Model(tokens, logits, name="causal_transformer")
