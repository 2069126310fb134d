"""Texts from outside made plain: what they do to a terminal, or hide from a reader, is shown as an escape instead."""

import re

# Control characters but newline and tab, those that reverse the reading order, line ends that are not seen as such, and
# the halves of characters that a file name's odd bytes become.
UNSEEN = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """The text with every character that is not meant to be read as its escape, which JSON reads as the character."""
    return UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def is_visible(text: str) -> bool:
    """Whether a text is one line that can be read as it is."""
    return not (UNSEEN.search(text) or "\n" in text or "\t" in text)


def one_line(text: str) -> str:
    """The text on one line."""
    return visible(text).replace("\n", " ").replace("\t", " ")
