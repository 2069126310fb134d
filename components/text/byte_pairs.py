"""GPT-2's tokens: a text is cut into pieces, and each piece's bytes are merged pair by pair.

Sennrich et al. (2016, arXiv:1508.07909) and, over bytes, Radford et al. (2019), section 2.2. Only the
standard library is needed: a published model runs wherever its runtime is installed.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise

# Cut off as pieces of their own, in this order.
CONTRACTIONS = ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d")
# Pieces whose tokens are remembered: words repeat.
REMEMBERED = 2**16
END = "<|endoftext|>"


def letters() -> list[str]:
    """The character that stands for each byte in a vocabulary: itself where it can be printed, else one from 256 on."""
    printed = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(256, 512))
    return [chr(byte) if byte in printed else chr(next(others)) for byte in range(256)]


def pieces(text: str) -> Iterator[str]:
    """The pieces of a text, which together are the text: words, numbers and other signs, each with the one space
    before it; what more space there is comes alone."""
    start, end = 0, len(text)
    while start < end:
        stop = _piece(text, start, end)
        yield text[start:stop]
        start = stop


def _piece(text: str, start: int, end: int) -> int:
    """Where the piece that begins at ``start`` ends."""
    for contraction in CONTRACTIONS:
        if text.startswith(contraction, start):
            return start + len(contraction)
    first = start + 1 if text[start] == " " and start + 1 < end and _kind(text[start + 1]) != "Z" else start
    kind, stop = _kind(text[first]), first + 1
    while stop < end and _kind(text[stop]) == kind:
        stop += 1
    # The last space of several goes to the word after them.
    return stop - 1 if kind == "Z" and stop < end and stop - first > 1 else stop


@lru_cache(REMEMBERED)
def _kind(character: str) -> str:
    """Letter, number, space or other: L, N, Z or an empty string."""
    if character.isspace() and character not in "\x1c\x1d\x1e\x1f":
        return "Z"
    major = unicodedata.category(character)[0]
    return major if major in "LN" else ""


class BytePairs:
    """A vocabulary and its merges.

    Attributes:
        begin: the token that stands for a text's beginning, which is GPT-2's for its end.
    """

    def __init__(self, vocabulary: Sequence[str], merges: Sequence[str]) -> None:
        """Tokens as their letters, in the order of their numbers, and merges as two tokens with a space between them,
        the first merged first."""
        self.vocabulary, self.merges = list(vocabulary), list(merges)
        self._numbers = {token: number for number, token in enumerate(self.vocabulary)}
        self._ranks = {tuple(merge.split(" ")): rank for rank, merge in enumerate(self.merges)}
        self._letters = letters()
        back = {letter: byte for byte, letter in enumerate(self._letters)}
        self.begin = self._numbers[END]
        self._bytes = [b"" if token == END else bytes(back[letter] for letter in token) for token in self.vocabulary]
        self._merged = lru_cache(REMEMBERED)(self._merge)

    def encode(self, text: bytes, most: int | None = None) -> list[int]:
        """The tokens of a text in UTF-8, the first ``most`` of them where that is set."""
        found: list[int] = []
        for piece in pieces(text.decode(errors="replace")):
            found += self._merged(piece)
            if most is not None and len(found) >= most:
                return found[:most]
        return found

    def decode(self, tokens: Sequence[int]) -> bytes:
        """The text of some tokens; a beginning is left out."""
        return b"".join(self._bytes[int(token)] for token in tokens)

    def _merge(self, piece: str) -> tuple[int, ...]:
        parts = [self._letters[byte] for byte in piece.encode()]
        while len(parts) > 1:
            pairs = list(pairwise(parts))
            best = min(pairs, key=lambda pair: self._ranks.get(pair, len(self._ranks)))
            if best not in self._ranks:
                break
            joined, place = [], 0
            while place < len(parts):
                here = tuple(parts[place : place + 2]) == best
                joined.append("".join(best) if here else parts[place])
                place += 2 if here else 1
            parts = joined
        return tuple(self._numbers[part] for part in parts)
