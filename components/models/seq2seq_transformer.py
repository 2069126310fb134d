"""A Transformer with an encoder and a decoder, for sequences to sequences (A. Vaswani et al., 2017, arXiv:1706.03762).

The defaults are small, for a CPU: 2 + 2 layers of width 128 on bytes, 1 million parameters. The paper's base model is
``width=512 heads=8 layers=6 hidden=2048 dropout=0.1 label_smoothing=0.1`` with ``pieces=32000``.
"""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from components.core.config import Count, Positive
from components.models._heads import WithHeads

if TYPE_CHECKING:
    import keras

Length = Annotated[int, Field(ge=2, le=4096)]
Share = Annotated[float, Field(ge=0, lt=1)]


class Settings(WithHeads):
    """The network; its tokens are bytes and pieces of words.

    Attributes:
        source_length: tokens of a source with the one that ends it; of longer ones the first are read.
        target_length: the same of a target.
        pieces: so many parts of words of up to 8 bytes, counted on the train split, are tokens beside the 256 bytes. 0
            takes bytes alone: nothing to count, and sequences are 3 to 4 times as long.
        width: of the vector at each place.
        heads: attention heads, which share the width.
        layers: of the encoder, and as many of the decoder.
        hidden: units between the two dense layers of each block.
        label_smoothing: share of the probability that the loss asks to be spread over all tokens.
    """

    interface: ClassVar[str] = "source -> target"

    name: Literal["seq2seq_transformer"] = "seq2seq_transformer"
    source_length: Length = 128
    target_length: Length = 128
    pieces: Count = 0
    width: Positive = 128
    heads: Positive = 4
    layers: Positive = 2
    hidden: Positive = 512
    dropout: Share = 0.1
    label_smoothing: Share = 0.0


def build(settings: Settings, pieces: list[str]) -> "keras.Model":
    """The network, from source and target tokens, int32 [n, source_length + target_length], to the logits of each
    target token, float32 [n, target_length, vocabulary]; ``EncoderDecoder`` says more.

    Args:
        pieces: what the tokens beyond the bytes stand for.
    """
    import keras

    from components.layers.encoder_decoder import EncoderDecoder

    inputs = keras.Input((settings.source_length + settings.target_length,), dtype="int32", name="tokens")
    named = ("source_length", "target_length", "width", "heads", "layers", "hidden", "dropout", "label_smoothing")
    values = {name: getattr(settings, name) for name in named}
    return keras.Model(inputs, EncoderDecoder(pieces=pieces, name="logits", **values)(inputs), name=settings.name)
