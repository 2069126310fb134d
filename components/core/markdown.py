"""Markdown in which texts from outside are texts: no markup, no link, no element of HTML, no new line."""

import re
from collections.abc import Iterable, Sequence

from components.core.plain import one_line
from components.core.secrets import masked

# What CommonMark and GitHub's tables, strikethrough, mathematics, mentions and bare links give a meaning inside a line;
# a backslash takes it from each of them (CommonMark 0.31, section 2.4). The rest of a text is left readable.
MARKS = re.compile(r"[\\`*_\[\]<|~$@]|&(?=[#\w])|:(?=//)|(?<=www)\.", re.IGNORECASE)
# What else begins a heading, a quotation or a list at a line's start.
STARTS = re.compile(r"^(\d{0,9})([-+=#>.)])")


def escaped(text: str) -> str:
    """A text for the inside of a paragraph, a list's item or a table's cell."""
    return MARKS.sub(lambda found: f"\\{found[0]}", " ".join(one_line(masked(text)).split()))


def paragraph(text: str) -> str:
    """A text as a paragraph of its own: what would begin a list or a heading does not."""
    return STARTS.sub(r"\1\\\2", escaped(text))


def row(cells: Sequence[str]) -> str:
    """A line of a table."""
    return f"| {' | '.join(map(escaped, cells))} |"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table's lines."""
    return [row(head), f"|{' --- |' * len(head)}", *map(row, rows)]
