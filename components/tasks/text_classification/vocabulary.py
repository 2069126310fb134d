"""What training and evaluation share: the network's vocabulary, and reading a split."""

from typing import TYPE_CHECKING, Any

from components.core.examples import PreparedData

if TYPE_CHECKING:
    import keras

# Examples read at once.
READ = 1024


def assets_of(network: "keras.Model") -> dict[str, Any]:
    """``vocabulary``, the words in the order of their numbers, and ``length``, how many words of a text are read."""
    from components.layers import text

    return {"vocabulary": text.vocabulary_words(network), "length": int(network.input_shape[1])}


def texts_and_labels(data: PreparedData, split: str) -> list[tuple[bytes, int]]:
    """Text and label of every example of a split."""
    pairs: list[tuple[bytes, int]] = []
    for batch in data.batches(split, READ):
        pairs += zip(batch["text"].numpy().tolist(), batch["label"].numpy().tolist(), strict=True)
    return pairs
