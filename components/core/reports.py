"""Self-contained HTML pages with figures and images, without external resources, in which all text is escaped."""

import base64
import io
import math
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import jinja2
from markupsafe import Markup, escape

from components.core.secrets import mask

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure


@cache
def _template() -> "jinja2.Template":
    folder = Path(__file__).parent / "templates"
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("page.html")


# The readable parts of a page: its text, and the descriptions of images.
READABLE = re.compile(r'(?<=>)[^<]+|(?<=alt=")[^"]*|(?<=label=")[^"]*|(?<=title=")[^"]*')
# Stands in a step's page for the links to the other pages of the run, which the step does not know.
NAVIGATION = Markup("<!--navigation-->")
# A table with fewer rows is not worth sorting.
SORTABLE = 3
# Characters of a cell that may be broken into lines.
LONG = 40


@dataclass(frozen=True)
class Cell:
    """A cell of a table that is aligned as a number, and by whose value the table is sorted."""

    content: Markup | str
    value: float | None = None


@dataclass(frozen=True)
class Chart:
    """A cell, or a head, that is drawn: one that takes the width that others leave."""

    drawing: Markup


def page(title: str, *parts: Markup | str, subtitle: str = "", navigation: Markup = NAVIGATION) -> str:
    """A whole page. Plain strings are escaped, and secrets are masked."""
    text = _template().render(title=title, subtitle=subtitle, parts=parts, navigation=navigation)
    return READABLE.sub(lambda match: mask(match[0]), text)


def section(title: str, *parts: Markup | str, half: bool = False) -> Markup:
    """Parts under a heading; ``half`` lets the next section stand beside it on a wide screen."""
    start = Markup('<section class="half">') if half else Markup("<section>")
    return start + Markup("<h2>{}</h2>{}</section>").format(title, Markup("\n").join(parts))


def columns(*parts: Markup) -> Markup:
    """Parts side by side, as many as there is room for."""
    return Markup('<div class="columns">{}</div>').format(Markup("").join(parts))


def folded(title: str, *parts: Markup) -> Markup:
    """Parts that a reader opens."""
    return Markup("<details><summary>{}</summary>{}</details>").format(title, Markup("").join(parts))


def text(paragraph: str) -> Markup:
    return Markup("<p>{}</p>").format(paragraph)


def link(target: str, label: str) -> Markup:
    """A link, relative if the page and its target move together."""
    return Markup('<a href="{}">{}</a>').format(target, label)


def code(lines: str) -> Markup:
    """Preformatted text."""
    return Markup('<pre tabindex="0">{}</pre>').format(lines)


def note(message: Markup | str, kind: Literal["info", "good", "warning", "bad"] = "info") -> Markup:
    """A highlighted sentence."""
    return Markup('<div class="note {}">{}</div>').format(kind, message)


def facts(values: Mapping[str, Any]) -> Markup:
    """Labels with their values, as tiles."""
    tiles = Markup("").join(
        Markup("<div><dt>{}</dt><dd>{}</dd></div>").format(k, format_value(v)) for k, v in values.items()
    )
    return Markup('<dl class="facts">{}</dl>').format(tiles)


def table(
    head: Sequence[str | Chart],
    rows: Iterable[Sequence[Any]],
    caption: str = "",
    numeric: bool = True,
    sortable: bool = True,
) -> Markup:
    """A table, scrollable on a narrow screen, whose first column names the rows and stays in sight.

    Args:
        rows: of texts, numbers, and the cells above. A column of numbers is aligned right, with equal decimals, unless
            ``numeric`` is False.
        sortable: whether a reader may sort it, if it has several rows.
    """
    rows = [list(row) for row in rows]
    every = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in head]
    right = [numeric and bool(column) and all(_is_number(cell) for cell in column) for column in every]
    shown = [_aligned(column) if flag else column for column, flag in zip(every, right, strict=True)]
    body = Markup("\n").join(
        Markup("<tr>{}</tr>").format(
            Markup("").join(_cell(value, flag, first=not index) for index, (value, flag) in enumerate(cells))
        )
        for cells in (zip(row, right, strict=True) for row in zip(*shown, strict=True))
    )
    titles = Markup("").join(_head(title, flag) for title, flag in zip(head, right, strict=True))
    classes = [
        *(["sortable"] if sortable and len(rows) >= SORTABLE else []),
        *(["wide"] if any(isinstance(title, Chart) for title in head) else []),
    ]
    # Without a focus, a table that is wider than the screen could not be scrolled by the keyboard.
    return Markup(
        '<div class="scroll" role="region" tabindex="0" aria-label="{}"><table class="{}">{}<thead><tr>{}</tr></thead>'
        "<tbody>{}</tbody></table></div>"
    ).format(
        caption or f"Table by {next((title for title in head if isinstance(title, str) and title), 'row')}",
        " ".join(classes),
        Markup("<caption>{}</caption>").format(caption) if caption else "",
        titles,
        body,
    )


def _is_number(cell: Any) -> bool:
    return isinstance(cell, int | float | Cell) and not isinstance(cell, bool)


def _aligned(column: list[Any]) -> list[Any]:
    """A column of numbers, all with as many decimals as its largest needs for five digits."""
    fractions = [abs(cell) for cell in column if isinstance(cell, float) and math.isfinite(cell)]
    if not fractions or all(value.is_integer() for value in fractions):
        decimals = 0
    else:
        decimals = min(4, max(0, 4 - math.floor(math.log10(max(*fractions, 1e-9)))))
    return [
        cell if isinstance(cell, Cell) else Cell(f"{cell:,.{decimals}f}" if math.isfinite(cell) else "–", cell)
        for cell in column
    ]


def _head(title: str | Chart, right: bool) -> Markup:
    if isinstance(title, Chart):
        return Markup('<th scope="col" class="chart">{}</th>').format(title.drawing)
    return Markup('<th scope="col"{}>{}</th>').format(Markup(' class="number"') if right else "", title)


def _cell(value: Any, right: bool, first: bool) -> Markup:
    if isinstance(value, Chart):
        return Markup('<td class="chart">{}</td>').format(value.drawing)
    tag, kind = ("th", Markup(' scope="row"')) if first else ("td", Markup(""))
    if right:
        kind += Markup(' class="number"')
    elif not first and isinstance(value, str) and not isinstance(value, Markup) and len(value) > LONG:
        kind += Markup(' class="text"')
    if isinstance(value, Cell):
        if value.value is not None and math.isfinite(value.value):
            kind += Markup(' data-value="{:.9g}"').format(value.value)
        value = value.content
    return Markup("<{}{}>{}</{}>").format(Markup(tag), kind, format_value(value), Markup(tag))


def measure(value: float | None, share: bool = False, sign: bool = False) -> str:
    """A metric with fixed decimals: a share in percent, its difference (with a sign) in percentage points, others
    as they are; a dash if it is not a number."""
    if value is None or not math.isfinite(value):
        return "–"
    plus, unit = ("+", "points") if sign else ("", "%")
    return f"{100 * value:{plus}.2f}\N{NO-BREAK SPACE}{unit}" if share else f"{value:{plus},.4f}"


def unbroken(text: str) -> str:
    """The text with spaces that do not break: a number and its unit stay on one line."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def format_value(value: Any) -> Markup:
    """A value for people: four significant digits for fractions, separators for large whole numbers."""
    if isinstance(value, Markup):
        return value
    if isinstance(value, bool):
        return Markup("yes" if value else "no")
    if isinstance(value, int):
        return Markup(f"{value:,}")
    if isinstance(value, float):
        return Markup(f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}")
    return escape(value)


def figure(drawing: "Figure", alt: str, caption: str = "") -> Markup:
    """A matplotlib figure, which is closed, as inline SVG. Equal figures give equal bytes."""
    import matplotlib as mpl
    from matplotlib import pyplot

    stream = io.StringIO()
    # A salt replaces random ids, and Date=None leaves out the date.
    with mpl.rc_context({"svg.hashsalt": "suanli", "svg.fonttype": "none"}), warnings.catch_warnings():
        # Text remains text, for which the browser has the glyphs.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        metadata = {"Date": None, "Creator": None}
        drawing.savefig(stream, format="svg", bbox_inches="tight", transparent=True, metadata=metadata)
    pyplot.close(drawing)
    svg = re.sub(r"^.*?(?=<svg )", "", stream.getvalue(), count=1, flags=re.DOTALL)
    # What is black is drawn as the page's text is, in the dark, too.
    svg = re.sub(r"#000000|#1c2430", "var(--ink)", svg)
    # Figures on one page must not share ids.
    salt = re.sub(r"\W+", "-", alt.lower())[:24]
    svg = re.sub(r'(\bid="|xlink:href="#|url\(#)', rf"\g<1>{salt}-", svg)
    return _framed(Markup('<span role="img" aria-label="{}">{}</span>').format(alt, Markup(svg)), caption)


def picture(pixels: "np.ndarray", alt: str, caption: str = "", scale: float = 1) -> Markup:
    """An inline image.

    Args:
        pixels: uint8 [height, width, channels], or without the last axis for grey; 1 or 3 channels.
        scale: pixels of the screen per pixel of the image; small images are not blurred.
    """
    return _framed(_image(pixels, alt, f' width="{round(pixels.shape[1] * scale)}"'), caption)


def gallery(pictures: Iterable[tuple["np.ndarray", Markup | str]]) -> Markup:
    """Images side by side, with captions."""
    framed = [
        _framed(_image(pixels, caption.striptags() if isinstance(caption, Markup) else caption), caption)
        for pixels, caption in pictures
    ]
    return Markup('<div class="gallery">{}</div>').format(Markup("").join(framed))


def _image(pixels: "np.ndarray", alt: str, size: str = "") -> Markup:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1:] == (1,) else pixels).save(
        stream, format="PNG", optimize=True
    )
    data = base64.b64encode(stream.getvalue()).decode()
    sharp = ' class="pixels"' if max(pixels.shape[:2]) < 128 else ""
    return Markup('<img src="data:image/png;base64,{}" alt="{}"{}{}>').format(data, alt, Markup(sharp), Markup(size))


def _framed(content: Markup, caption: Markup | str) -> Markup:
    below = Markup("<figcaption>{}</figcaption>").format(caption) if caption else Markup("")
    return Markup("<figure>{}{}</figure>").format(content, below)
