"""An encoder-decoder Transformer for sequence to sequence tasks (A. Vaswani et al., 2017, arXiv:1706.03762).

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
    """A network over bytes and pieces of words.

    Attributes:
        source_length: tokens of a source, including END; longer sources are truncated.
        target_length: the same for a target.
        pieces: number of parts of words of up to 8 bytes, learned from the train split, that are tokens in addition to
            the 256 bytes. 0 is bytes alone: nothing to learn, and sequences are 3 to 4 times as long.
        width: of the vectors.
        heads: attention heads, which divide the width.
        layers: of the encoder, and as many of the decoder.
        hidden: units between the two dense layers of each block.
        dropout: rate on the outputs of attention and of each block.
        label_smoothing: share of the target probability that is spread over all tokens.
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
    target token, float32 [n, target_length, vocabulary]; see ``EncoderDecoder``.

    Args:
        pieces: of the tokenizer.
    """
    import keras

    from components.layers.encoder_decoder import EncoderDecoder

    inputs = keras.Input((settings.source_length + settings.target_length,), dtype="int32", name="tokens")
    named = ("source_length", "target_length", "width", "heads", "layers", "hidden", "dropout", "label_smoothing")
    values = {name: getattr(settings, name) for name in named}
    return keras.Model(inputs, EncoderDecoder(pieces=pieces, name="logits", **values)(inputs), name=settings.name)
