"""GPT-2's byte pair encoding: a text is split into pieces, and the bytes of each piece are merged pair by pair.

Sennrich et al. (2016, arXiv:1508.07909) and, over bytes, Radford et al. (2019), section 2.2. It needs only the
standard library: a published model runs wherever its runtime is installed.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise

# Pieces of their own, tried in this order.
CONTRACTIONS = ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d")
# Pieces whose tokens are cached: words repeat.
CACHED_PIECES = 2**16
END = "<|endoftext|>"


def letters() -> list[str]:
    """The character for each byte in a vocabulary: the byte's own if printable, else one from 256 on."""
    printed = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(256, 512))
    return [chr(byte) if byte in printed else chr(next(others)) for byte in range(256)]


def pieces(text: str) -> Iterator[str]:
    """The pieces of a text, which join to the text: words, numbers and other symbols, each with one space before it;
    further white space is a piece of its own."""
    start, end = 0, len(text)
    while start < end:
        stop = _piece_end(text, start, end)
        yield text[start:stop]
        start = stop


def _piece_end(text: str, start: int, end: int) -> int:
    """The end of the piece that begins at ``start``."""
    for contraction in CONTRACTIONS:
        if text.startswith(contraction, start):
            return start + len(contraction)
    first = start + 1 if text[start] == " " and start + 1 < end and _kind(text[start + 1]) != "Z" else start
    kind, stop = _kind(text[first]), first + 1
    while stop < end and _kind(text[stop]) == kind:
        stop += 1
    # The last of several spaces belongs to the word after them.
    return stop - 1 if kind == "Z" and stop < end and stop - first > 1 else stop


@lru_cache(CACHED_PIECES)
def _kind(character: str) -> str:
    """Letter, number, space or other: L, N, Z or an empty string."""
    if character.isspace() and character not in "\x1c\x1d\x1e\x1f":
        return "Z"
    major = unicodedata.category(character)[0]
    return major if major in "LN" else ""


class BytePairs:
    """A vocabulary and its merges.

    Attributes:
        bos: the token before a text (BOS), for which GPT-2 uses the one that ends a text.
    """

    def __init__(self, vocabulary: Sequence[str], merges: Sequence[str]) -> None:
        """Tokens as letters, in the order of their ids, and merges as two tokens joined by a space, by priority."""
        self.vocabulary, self.merges = list(vocabulary), list(merges)
        self._ids = {token: number for number, token in enumerate(self.vocabulary)}
        self._ranks = {tuple(merge.split(" ")): rank for rank, merge in enumerate(self.merges)}
        self._letters = letters()
        byte_of = {letter: byte for byte, letter in enumerate(self._letters)}
        self.bos = self._ids[END]
        self._bytes = [b"" if token == END else bytes(byte_of[letter] for letter in token) for token in self.vocabulary]
        self._merged = lru_cache(CACHED_PIECES)(self._merge)

    def encode(self, text: bytes, limit: int | None = None) -> list[int]:
        """The tokens of a text in UTF-8, at most ``limit`` of them if given."""
        tokens: list[int] = []
        for piece in pieces(text.decode(errors="replace")):
            tokens += self._merged(piece)
            if limit is not None and len(tokens) >= limit:
                return tokens[:limit]
        return tokens

    def decode(self, tokens: Sequence[int]) -> bytes:
        """The text of tokens, without BOS."""
        return b"".join(self._bytes[int(token)] for token in tokens)

    def _merge(self, piece: str) -> tuple[int, ...]:
        parts = [self._letters[byte] for byte in piece.encode()]
        while len(parts) > 1:
            pairs = list(pairwise(parts))
            best = min(pairs, key=lambda pair: self._ranks.get(pair, len(self._ranks)))
            if best not in self._ranks:
                break
            merged, index = [], 0
            while index < len(parts):
                matches = tuple(parts[index : index + 2]) == best
                merged.append("".join(best) if matches else parts[index])
                index += 2 if matches else 1
            parts = merged
        return tuple(self._ids[part] for part in parts)
