"""Word tokenizer: the same on the host, in plain Python, and in TensorFlow's graph.

Both work on bytes: ASCII letters become lower case, an HTML line break is white space, an apostrophe is dropped
(``don't`` is ``dont``), every other ASCII punctuation and control character is white space, and all other bytes are
unchanged, whether UTF-8 or not.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

# The ids of padding, of out-of-vocabulary words, and of the vocabulary's first word.
PADDING, UNKNOWN, FIRST = 0, 1, 2
# Bytes; keeps keys and base64 out of a vocabulary.
MAX_WORD = 64

# RE2 and Python's re agree on these: they name ASCII characters only.
BREAK, DROPPED, SPACES = r"<br */?>", r"'", r"[\x00-&(-/:-@\[-`{-\x7f]+"
_BREAK = re.compile(BREAK.encode())
# Lower case for upper case, a space for punctuation and control characters.
_TABLE = bytes(byte if byte > 0x7F or chr(byte).isalnum() else ord(" ") for byte in bytes(range(256)).lower())


def words(text: bytes) -> list[bytes]:
    lower = text.lower()
    spaced = _BREAK.sub(b" ", lower) if b"<br" in lower else lower
    return spaced.translate(_TABLE, delete=b"'").split()


def build_vocabulary(texts: Iterable[bytes], size: int) -> list[str]:
    """The ``size`` most frequent words, by descending count and then by their bytes, whatever the order of the texts.

    Words that are not UTF-8 or longer than 64 bytes are left out.
    """
    counts: Counter[bytes] = Counter()
    for text in texts:
        counts.update(words(text))
    vocabulary: list[str] = []
    for word, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if len(vocabulary) == size:
            break
        try:
            if len(word) <= MAX_WORD:
                vocabulary.append(word.decode())
        except UnicodeDecodeError:
            continue
    return vocabulary


def encode(texts: Iterable[bytes], vocabulary: Sequence[str], length: int) -> np.ndarray:
    """The ids of the first words of texts, padded, int32 [n, length]."""
    numbers = {word.encode(): number for number, word in enumerate(vocabulary, FIRST)}
    rows = [[numbers.get(word, UNKNOWN) for word in words(text)[:length]] for text in texts]
    ids = np.full((len(rows), length), PADDING, np.int32)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = row
    return ids


class WordTokenizer:
    """``encode`` in TensorFlow's graph: strings [n] in, int32 [n, length] out.

    Words are looked up by their 63-bit fingerprints in a sorted constant, which is not a resource: unlike a table, it
    needs neither an owner nor an initializer wherever the graph is loaded.
    """

    def __init__(self, vocabulary: Sequence[str], length: int) -> None:
        """A tokenizer of the first ``length`` words of a text."""
        import tensorflow as tf

        prints = _fingerprints(tf.constant([word.encode() for word in vocabulary], tf.string)).numpy()
        order = np.argsort(prints)
        self._prints, self._ids = prints[order], (order + FIRST).astype(np.int32)
        self._length = length

    def __call__(self, texts: "tf.Tensor") -> "tf.Tensor":
        import tensorflow as tf

        texts = tf.strings.lower(texts)
        for pattern, replacement in ((BREAK, " "), (DROPPED, ""), (SPACES, " ")):
            texts = tf.strings.regex_replace(texts, pattern, replacement)
        split = tf.strings.split(texts)[:, : self._length]
        prints = _fingerprints(split.flat_values)
        ranks = tf.searchsorted(self._prints, prints, out_type=tf.int32)
        ranks = tf.minimum(ranks, len(self._prints) - 1)
        same = tf.gather(self._prints, ranks) == prints
        ids = split.with_flat_values(tf.where(same, tf.gather(self._ids, ranks), UNKNOWN))
        padded: tf.Tensor = ids.to_tensor(PADDING, shape=[None, self._length])
        return padded


def _fingerprints(strings: "tf.Tensor") -> Any:
    """FarmHash fingerprints, int64: among a million words two collide with a probability of 1 in 10 million."""
    import tensorflow as tf

    return tf.strings.to_hash_bucket_fast(strings, 2**63 - 1)
