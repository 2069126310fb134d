"""GPT-2 (Radford et al., 2019), fine-tuned from a local keras-hub preset; needs the optional extra ``hub``."""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from components.core.errors import StepError
from components.models import ModelSettings, _hub

if TYPE_CHECKING:
    import keras


class Settings(ModelSettings):
    """A GPT-2 of the preset's size.

    keras-hub only reads the preset. The network consists of our layers and includes weights and vocabulary, so that
    evaluation, export and prediction need neither keras-hub nor the preset.

    Attributes:
        preset: a local folder of a GPT-2 preset with weights and vocabulary.
        length: context length in tokens; the preset's positions beyond it are dropped.
        dropout: rate on the outputs of each block.
    """

    interface: ClassVar[str] = "text -> next token"
    name: Literal["gpt2"] = "gpt2"
    preset: Annotated[str, Field(min_length=1)]
    length: Annotated[int, Field(ge=8)] = 256
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1


def build(settings: Settings) -> "keras.Model":
    """The network with the preset's weights, int32 [n, length] -> float32 logits [n, length, tokens]. The
    logits layer starts as the preset's embedding, transposed, and is tuned separately.

    Raises:
        StepError: keras-hub is not installed, or the folder is not such a preset.
    """
    backbone, vocabulary, merges = _preset(settings)
    import keras

    from components.layers.attention import Block, Positions
    from components.layers.byte_pairs import BytePairVocabulary
    from components.layers.ngrams import NGramEmbedding

    longest = int(backbone.max_sequence_length)
    if settings.length > longest:
        raise StepError(
            f"model.length: {settings.length} tokens are more than the {longest} of the preset {settings.preset}",
            advice=f"use at most {longest}",
            kind="settings",
        )
    tokens = keras.Input((settings.length,), dtype="int32", name="tokens")
    x = BytePairVocabulary(vocabulary, merges, name="vocabulary")(tokens)
    x = NGramEmbedding(len(vocabulary), int(backbone.hidden_dim), name="embedding")(x)
    x = Positions(settings.length, name="positions")(x)
    for number in range(int(backbone.num_layers)):
        x = Block(
            int(backbone.num_heads),
            int(backbone.intermediate_dim),
            causal=True,
            dropout=settings.dropout,
            activation="gelu_tanh",
            name=f"block_{number}",
        )(x)
    x = keras.layers.LayerNormalization(epsilon=1e-5, name="norm")(x)
    logits = keras.layers.Dense(len(vocabulary), use_bias=False, dtype="float32", name="logits")(x)
    network = keras.Model(tokens, logits, name="gpt2")
    _copy(backbone, network, settings.length)
    return network


def _preset(settings: Settings) -> tuple[Any, list[str], list[str]]:
    """keras-hub's backbone; the vocabulary, in the order of the ids; and the merges.

    Raises:
        StepError: as ``build``.
    """
    hub = _hub.library("gpt2", instead="causal_transformer")
    with _hub.preset(settings.preset) as folder:
        backbone = hub.models.GPT2Backbone.from_preset(folder, dtype="float32")
        tokenizer = hub.models.GPT2Tokenizer.from_preset(folder)
        ids, merges = dict(tokenizer.vocabulary), list(tokenizer.merges)
    vocabulary = sorted(ids, key=lambda token: int(ids[token]))
    if len(vocabulary) != int(backbone.vocabulary_size):
        raise StepError(
            f"the preset {folder} has {len(vocabulary)} tokens and {backbone.vocabulary_size} vectors for them",
            advice="use the whole preset of one model",
            kind="settings",
        )
    return backbone, vocabulary, merges


def _copy(backbone: Any, network: "keras.Model", length: int) -> None:
    """Copy the weights of keras-hub's layers, which have a separate axis for heads."""
    import numpy as np

    def arrays(layer: Any) -> list[np.ndarray]:
        return [np.asarray(weight) for weight in layer.get_weights()]

    (embedding,) = arrays(backbone.token_embedding)
    width = embedding.shape[1]
    network.get_layer("embedding").set_weights([embedding])
    network.get_layer("positions").set_weights([arrays(backbone.position_embedding)[0][:length]])
    network.get_layer("logits").set_weights([embedding.T])
    network.get_layer("norm").set_weights(arrays(backbone.layer_norm))
    for number, theirs in enumerate(backbone.transformer_layers):
        ours = network.get_layer(f"block_{number}")
        attention = theirs._self_attention_layer
        (query, query_bias), (key, key_bias), (value, value_bias), (mixed, mixed_bias) = (
            arrays(getattr(attention, f"_{name}_dense")) for name in ("query", "key", "value", "output")
        )
        ours.attention.query.set_weights([query.reshape(width, width), query_bias.reshape(width)])
        ours.attention.key_value.set_weights(
            [
                np.concatenate([key.reshape(width, width), value.reshape(width, width)], axis=1),
                np.concatenate([key_bias.reshape(width), value_bias.reshape(width)]),
            ]
        )
        ours.attention.output_dense.set_weights([mixed.reshape(width, width), mixed_bias])
        ours.norm.set_weights(arrays(theirs._self_attention_layer_norm))
        ours.feed_norm.set_weights(arrays(theirs._feedforward_layer_norm))
        ours.widen.set_weights(arrays(theirs._feedforward_intermediate_dense))
        ours.narrow.set_weights(arrays(theirs._feedforward_output_dense))
