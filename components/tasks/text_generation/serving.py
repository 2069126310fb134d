"""Serving: texts in, continuations out."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.core import folders
from components.core.errors import StepError
from components.tasks import contract
from components.tasks.text_generation import LONGEST, Info, Settings
from components.text import sampling, tables, texts, vocabulary

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


class Serving(contract.Serving[Info, Settings]):
    def signature(
        self, network: "keras.Model", assets: dict[str, Any]
    ) -> "tuple[tf.TensorSpec, Callable[[tf.Tensor], dict[str, tf.Tensor]]]":
        """Takes texts; gives the logits of their beginning, and their ``continuation`` as ``Settings`` makes it by
        default: the bytes that ``suanli predict`` gives, as many as half of what the network sees."""
        import tensorflow as tf

        default, tokenizer, length = Settings(), vocabulary.from_assets(assets), assets["length"]
        how = sampling.Sampling(default.temperature, default.top_k, default.top_p)
        uniforms = sampling.uniforms(default.seed, 1, default.new_tokens)[:, : length // 2]

        def answer(contents: "tf.Tensor") -> "dict[str, tf.Tensor]":
            last, sizes, whole = tokenizer.encode_last_in_graph(contents, length)
            # With BOS, a text of length - 1 tokens fills a row.
            whole &= sizes < length
            first, counts = tokenizer.encode_in_graph(contents, length - 1)
            present = tf.range(length - 1)[None] < counts[:, None]
            beginning = tf.where(present, first, tokenizer.bos)
            inputs = tf.pad(beginning, [[0, 0], [1, 0]], constant_values=tokenizer.bos)
            rows = tf.where(whole[:, None], inputs, last)
            uniform = tf.repeat(tf.constant(uniforms), tf.shape(contents)[0], axis=0)
            sizes = tf.where(whole, sizes + 1, sizes)
            *_, tokens = sampling.generate(network, rows, sizes, uniform, how)
            return {"outputs": network(inputs, training=False), "continuation": tokenizer.decode_in_graph(tokens)}

        return tf.TensorSpec([None], tf.string, name="text"), answer

    def read_inputs(self, path: str) -> list[tuple[str, bytes]]:
        """Name and bytes of a text file, or of every .txt file in a folder, at any depth."""
        root = Path(path)
        walked = folders.walk(root) if root.is_dir() else [(root, "")]
        files = [file for file, problem in walked if not problem and (file == root or file.suffix.lower() == ".txt")]
        if not files:
            raise StepError(f"{path} has no .txt file", advice="give a text file, a folder of them, or --text")
        contents = []
        for file in files:
            try:
                contents.append((str(file), _check(tables.decoded(file.read_bytes()).removesuffix(b"\n"), str(file))))
            except OSError as error:
                raise StepError(
                    f"{file} cannot be read ({error.strerror})", advice="give a text file, or --text"
                ) from None
        return contents

    def from_text(self, text: str) -> bytes:
        """An empty text is continued from its beginning."""
        return _check(text.encode("utf-8", "surrogatepass"), "the text")


def _check(text: bytes, name: str) -> bytes:
    if text.strip() and (fault := texts.problem(text, LONGEST)):
        raise StepError(f"{name}: {fault}", advice="give a text in UTF-8", kind="data")
    return text
