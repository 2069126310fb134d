"""Texts from outside made printable: characters that control a terminal or mislead a reader become escapes."""

import re

# Control characters other than newline and tab, those that change the reading order, unusual line ends, and surrogates,
# which stand for undecodable bytes of file names.
HIDDEN = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """The text with invisible characters as JSON escapes."""
    return HIDDEN.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def is_visible(text: str) -> bool:
    """Whether a text is one line without invisible characters."""
    return not (HIDDEN.search(text) or "\n" in text or "\t" in text)


def one_line(text: str) -> str:
    """The text on one line."""
    return visible(text).replace("\n", " ").replace("\t", " ")
