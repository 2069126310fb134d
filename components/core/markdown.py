"""Markdown with texts from outside escaped: no markup, links, HTML elements or new lines."""

import re
from collections.abc import Iterable, Sequence

from components.core.plain import one_line
from components.core.secrets import mask

# Characters with a meaning inside a line for CommonMark and GitHub's tables, strikethrough, mathematics, mentions and
# bare links, each of which a backslash escapes (CommonMark 0.31, section 2.4). The rest of a text remains readable.
MARKS = re.compile(r"[\\`*_\[\]<|~$@]|&(?=[#\w])|:(?=//)|(?<=www)\.", re.IGNORECASE)
# Starts of headings, quotations and lists.
STARTS = re.compile(r"^(\d{0,9})([-+=#>.)])")


def escape(text: str) -> str:
    """A text for use in a paragraph, a list item or a table cell."""
    return MARKS.sub(lambda match: f"\\{match[0]}", " ".join(one_line(mask(text)).split()))


def paragraph(text: str) -> str:
    """A text as a paragraph, which does not start a list or a heading."""
    return STARTS.sub(r"\1\\\2", escape(text))


def row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(escape, cells))} |"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    return [row(head), f"|{' --- |' * len(head)}", *map(row, rows)]
