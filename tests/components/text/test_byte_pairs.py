"""GPT-2's tokens against those of the library tokenizers."""

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from components.text.byte_pairs import END, BytePairs, letters, pieces

TEXTS = [
    "",
    "We've seen it, they'll say; it's 'so-so'!",
    "  two spaces,\n\n\nthree lines\t\tand tabs \n end  ",
    "größer 算力 ½ 3² 12345 ٣ _under_score e\u0301 👍🏽\u00a0x\u3000y\u2028z\x1fq\x85w",
    "'s 's't''ll I'M I'm",
    "a" * 300,
]


def vocabulary() -> tuple[list[str], list[str]]:
    """Every byte, and the merges that a short text asks for."""
    stands = letters()
    words = [
        [stands[byte] for byte in f" {word}".encode()] for word in ("they", "the", "then", "seen", "größer", "aaaa")
    ]
    merges = []
    for _ in range(16):
        (best, _), *_ = Counter(pair for word in words for pair in pairwise(word)).most_common(1)
        merges.append(best)
        for word in words:
            place = 0
            while place < len(word) - 1:
                if (word[place], word[place + 1]) == best:
                    word[place : place + 2] = ["".join(best)]
                place += 1
    return [*stands, *("".join(pair) for pair in merges), END], [" ".join(pair) for pair in merges]


def theirs() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokens, merges = vocabulary()
    made = Tokenizer(models.BPE({token: n for n, token in enumerate(tokens)}, [tuple(m.split(" ")) for m in merges]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return made


@pytest.mark.parametrize("text", TEXTS, ids=["empty", "contractions", "spaces", "signs", "apostrophes", "one letter"])
def test_the_tokens_are_those_of_the_library(text: str) -> None:
    ours = BytePairs(*vocabulary())
    assert "".join(pieces(text)) == text
    assert ours.encode(text.encode()) == theirs().encode(text).ids
    assert ours.decode(ours.encode(text.encode())) == text.encode()


def test_only_as_many_tokens_as_wanted_are_made() -> None:
    ours = BytePairs(*vocabulary())
    whole = ours.encode(TEXTS[1].encode())
    assert ours.encode(TEXTS[1].encode(), 5) == whole[:5]
    assert ours.decode([ours.bos, *whole[:2], ours.bos]) == ours.decode(whole[:2])
