"""Self-contained HTML pages with figures and images, without external resources, in which all text is escaped."""

import base64
import io
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
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
READABLE = re.compile(r'(?<=>)[^<]+|(?<=alt=")[^"]*|(?<=label=")[^"]*')


def page(title: str, *parts: Markup | str, subtitle: str = "") -> str:
    """A whole page. Plain strings are escaped, and secrets are masked."""
    text = _template().render(title=title, subtitle=subtitle, parts=parts)
    return READABLE.sub(lambda match: mask(match[0]), text)


def section(title: str, *parts: Markup | str) -> Markup:
    """Parts under a heading."""
    return Markup("<section><h2>{}</h2>{}</section>").format(title, Markup("\n").join(parts))


def text(paragraph: str) -> Markup:
    return Markup("<p>{}</p>").format(paragraph)


def link(target: str, label: str) -> Markup:
    """A link, relative if the page and its target move together."""
    return Markup('<a href="{}">{}</a>').format(target, label)


def code(lines: str) -> Markup:
    """Preformatted text."""
    return Markup("<pre>{}</pre>").format(lines)


def note(message: Markup | str, kind: Literal["info", "good", "warning", "bad"] = "info") -> Markup:
    """A highlighted sentence."""
    return Markup('<div class="note {}">{}</div>').format(kind, message)


def facts(values: Mapping[str, Any]) -> Markup:
    """Labels with their values, as tiles."""
    tiles = Markup("").join(
        Markup("<div><dt>{}</dt><dd>{}</dd></div>").format(k, format_value(v)) for k, v in values.items()
    )
    return Markup('<dl class="facts">{}</dl>').format(tiles)


def table(head: Sequence[str], rows: Iterable[Sequence[Any]], caption: str = "", numeric: bool = True) -> Markup:
    """A table, scrollable on a narrow screen; columns of numbers are aligned right unless ``numeric`` is False."""
    rows = [list(row) for row in rows]
    right = [numeric and bool(rows) and all(isinstance(row[i], int | float) for row in rows) for i in range(len(head))]

    def cells(tag: str, values: Sequence[Any]) -> Markup:
        classes = (Markup(' class="number"') if flag else Markup("") for flag in right)
        return Markup("").join(
            Markup("<{}{}>{}</{}>").format(Markup(tag), mark, format_value(value), Markup(tag))
            for mark, value in zip(classes, values, strict=True)
        )

    body = Markup("\n").join(Markup("<tr>{}</tr>").format(cells("td", row)) for row in rows)
    return Markup('<div class="scroll"><table>{}<thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>').format(
        Markup("<caption>{}</caption>").format(caption) if caption else "", cells("th", head), body
    )


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
        drawing.savefig(stream, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
    pyplot.close(drawing)
    svg = re.sub(r"^.*?(?=<svg )", "", stream.getvalue(), count=1, flags=re.DOTALL)
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


def gallery(pictures: Iterable[tuple["np.ndarray", str]]) -> Markup:
    """Small images side by side, with captions."""
    framed = [_framed(_image(pixels, caption), caption) for pixels, caption in pictures]
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


def _framed(content: Markup, caption: str) -> Markup:
    below = Markup("<figcaption>{}</figcaption>").format(caption) if caption else Markup("")
    return Markup("<figure>{}{}</figure>").format(content, below)
