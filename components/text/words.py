"""Words of a text and their numbers: the same on the host, in plain Python, and in TensorFlow's graph.

Both work on bytes: ASCII letters become small, an HTML line break is white space, an apostrophe goes (``don't`` is
``dont``), every other ASCII punctuation and control character is white space, and all other bytes stay as they are, be
they UTF-8 or not.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

# The numbers of padding and of a word that the vocabulary lacks; the vocabulary's first word is the next one.
PADDING, UNKNOWN, FIRST = 0, 1, 2
# No word is longer, which keeps what is no language (keys, base64) out of a vocabulary.
LONGEST_WORD = 64

# RE2 and Python's re read these alike, for they name ASCII characters only.
BREAK, DROPPED, SPACES = r"<br */?>", r"'", r"[\x00-&(-/:-@\[-`{-\x7f]+"
_BREAK = re.compile(BREAK.encode())
# Small letters for large ones, a space for punctuation and control characters.
_TABLE = bytes(byte if byte > 0x7F or chr(byte).isalnum() else ord(" ") for byte in bytes(range(256)).lower())


def words(text: bytes) -> list[bytes]:
    """The words of a text, in their order."""
    return _BREAK.sub(b" ", text.lower()).translate(_TABLE, delete=b"'").split()


def vocabulary(texts: Iterable[bytes], size: int) -> list[str]:
    """The most frequent words, at most ``size``, the most frequent first and equally frequent ones by their bytes.

    The order of the texts does not matter. Words that are not UTF-8, or longer than 64 bytes, are left out.
    """
    counts: Counter[bytes] = Counter()
    for text in texts:
        counts.update(words(text))
    found: list[str] = []
    for word, _ in sorted(counts.items(), key=lambda one: (-one[1], one[0])):
        if len(found) == size:
            break
        try:
            if len(word) <= LONGEST_WORD:
                found.append(word.decode())
        except UnicodeDecodeError:
            continue
    return found


def encoded(texts: Iterable[bytes], known: Sequence[str], length: int) -> np.ndarray:
    """Texts as the numbers of their first words, int32 [n, length], filled up with 0."""
    numbers = {word.encode(): number for number, word in enumerate(known, FIRST)}
    rows = [[numbers.get(word, UNKNOWN) for word in words(text)[:length]] for text in texts]
    found = np.zeros((len(rows), length), np.int32)
    for place, row in enumerate(rows):
        found[place, : len(row)] = row
    return found


class WordTokenizer:
    """``encoded`` in TensorFlow's graph: strings [n] in, int32 [n, length] out.

    Words are looked up by their 63-bit fingerprints in a sorted constant: unlike a table, that is no resource, so it
    needs neither an owner nor to be filled in whatever loads the graph.
    """

    def __init__(self, known: Sequence[str], length: int) -> None:
        """For a vocabulary and a number of words a text."""
        import tensorflow as tf

        prints = _fingerprints(tf.constant([word.encode() for word in known], tf.string)).numpy()
        order = np.argsort(prints)
        self._prints, self._numbers = prints[order], (order + FIRST).astype(np.int32)
        self._length = length

    def __call__(self, texts: "tf.Tensor") -> "tf.Tensor":
        """The numbers of some texts' first words."""
        import tensorflow as tf

        texts = tf.strings.lower(texts)
        for pattern, instead in ((BREAK, " "), (DROPPED, ""), (SPACES, " ")):
            texts = tf.strings.regex_replace(texts, pattern, instead)
        found = tf.strings.split(texts)[:, : self._length]
        prints = _fingerprints(found.flat_values)
        places = tf.searchsorted(self._prints, prints, out_type=tf.int32)
        places = tf.minimum(places, len(self._prints) - 1)
        same = tf.gather(self._prints, places) == prints
        numbers = found.with_flat_values(tf.where(same, tf.gather(self._numbers, places), UNKNOWN))
        padded: tf.Tensor = numbers.to_tensor(PADDING, shape=[None, self._length])
        return padded


def _fingerprints(found: "tf.Tensor") -> Any:
    """FarmHash's fingerprints, int64: two of a million words share one with a probability of 1 in 10 million."""
    import tensorflow as tf

    return tf.strings.to_hash_bucket_fast(found, 2**63 - 1)
