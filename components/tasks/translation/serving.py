"""Serving: sentences in, translations out."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.core.errors import StepError
from components.tasks import contract
from components.tasks.translation import Info, Settings, decoding, sentence_fault
from components.text import tables
from components.text.subwords import PAD, START, SubwordTokenizer

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


class Serving(contract.Serving[Info, Settings]):
    def signature(
        self, network: "keras.Model", assets: dict[str, Any]
    ) -> "tuple[tf.TensorSpec, Callable[[tf.Tensor], dict[str, tf.Tensor]]]":
        """Takes sentences, strings [n]; gives ``translation``, strings [n], by greedy decoding in the graph, and the
        network's ``outputs`` for the sources and the START of a translation."""
        import tensorflow as tf

        layer, tokenizer = decoding.layer_of(network), SubwordTokenizer(tuple(assets["pieces"]))

        def answer(sources: "tf.Tensor") -> "dict[str, tf.Tensor]":
            ids = tokenizer.encode_in_graph(sources, assets["source_length"])
            n = tf.shape(ids)[0]
            begun = tf.concat([tf.fill([n, 1], START), tf.fill([n, assets["target_length"] - 1], PAD)], axis=1)
            texts = tokenizer.decode_in_graph(decoding.decode_in_graph(layer, ids, 1, 0.0))
            empty = tf.strings.length(tf.strings.strip(sources)) == 0
            outputs = network(tf.concat([ids, begun], axis=1), training=False)
            return {"translation": tf.where(empty, "", texts), "outputs": outputs}

        return tf.TensorSpec([None], tf.string, name="source"), answer

    def read_inputs(self, path: str) -> list[tuple[str, bytes]]:
        """Name and sentence of each line of a text file; an empty line stays one, so that line follows line."""
        file = Path(path).expanduser()
        if not file.is_file():
            raise StepError(f"there is no text file {file}", advice="give a file with one sentence a line")
        lines = tables.decoded(file.read_bytes()).splitlines()
        if not lines:
            raise StepError(f"{file} is empty", advice="one sentence a line was expected")
        for number, line in enumerate(lines, 1):
            if line.strip() and (fault := sentence_fault(line)):
                raise StepError(f"{file.name}: line {number} {fault}")
        return [(f"line {number}", line) for number, line in enumerate(lines, 1)]

    def from_text(self, text: str) -> bytes:
        sentence = text.encode(errors="surrogateescape")
        if fault := sentence_fault(sentence):
            raise StepError(f"the text {fault}", advice="give a sentence in UTF-8")
        return sentence

    def row(self, prediction: Mapping[str, Any]) -> dict[str, str]:
        return {"translation": prediction["translation"] + ("" if prediction["whole"] else " (of the first part)")}
