"""Serving: texts in files, in a column of tables, or typed."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from components.core.errors import StepError
from components.tasks._classifier.serving import ClassifierServing
from components.tasks.text_classification import Info
from components.text import texts, words

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


class Serving(ClassifierServing[Info]):
    def logits(
        self, network: "keras.Model", assets: dict[str, Any]
    ) -> "tuple[tf.TensorSpec, Callable[[tf.Tensor], tf.Tensor]]":
        """Contents are strings [n] of any bytes."""
        import tensorflow as tf

        encode = words.WordTokenizer(assets["vocabulary"], assets["length"])
        return tf.TensorSpec([None], tf.string, name="text"), lambda texts: network(encode(texts), training=False)

    def read_inputs(self, path: str) -> list[tuple[str, bytes]]:
        """Name and bytes of every text in a .txt file, a folder of them, or a .csv, .tsv, .jsonl or .ndjson file, there
        in the column that the model was trained on."""
        return texts.read(path, self.info["longest"], self.info.get("column", "text"))

    def from_text(self, text: str) -> bytes:
        content = texts.as_bytes(text)
        if fault := texts.problem(content, self.info["longest"]):
            raise StepError(fault, kind="settings")
        return content
