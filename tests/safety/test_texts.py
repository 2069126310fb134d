"""Texts from outside stay texts: in HTML, in Markdown, in figures and on a terminal."""

import io
from html.parser import HTMLParser

import numpy as np
import pytest
from markdown_it import MarkdownIt

from components.core import markdown, plain, reports
from components.evaluate import verdict
from components.evaluate.gate import Decision, Reason
from components.metrics.classification import Predictions
from components.tasks._classifier import figures

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "a|b",
    "`code`",
    "[x](javascript:alert(1))",
    "![x](https://example.org/x.png)",
    "https://example.org/x",
    "<https://example.org>",
    "*b* _i_ ~~s~~",
    "&lt;b&gt; &amp; &#60;",
    "# heading",
    "- list",
    "1. list",
    "> quotation",
    "===",
    "$x^2$ \\frac{",
    "\\*",
    "a\\|b",
    "line\nbreak",
    "```",
    "</td></tr></table>",
]
RENDER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


class Seen(HTMLParser):
    """The elements and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("name", HOSTILE)
def test_markdown_shows_a_name_as_it_is(name: str) -> None:
    shown = " ".join(name.split())
    for text in (markdown.paragraph(name), f"- {markdown.paragraph(name)}: {markdown.escape(name)}"):
        seen = Seen(RENDER.render(text))
        assert seen.tags <= {"p", "ul", "li"} and shown in seen.text
    seen = Seen(RENDER.render("\n".join(markdown.table(["class", name], [[name, "after"]]))))
    assert seen.tags == {"table", "thead", "tbody", "tr", "th", "td"}
    assert seen.text.count(shown) == 2 and "after" in seen.text


@pytest.mark.parametrize("name", HOSTILE)
def test_the_decisions_reasons_show_it_as_it_is(name: str) -> None:
    seen = Seen(RENDER.render(verdict.markdown(Decision((Reason("bad", f"class {name} is worse"),)))))
    assert seen.tags == {"h1", "ul", "li"} and " ".join(name.split()) in seen.text


@pytest.mark.parametrize("name", HOSTILE)
def test_html_shows_it_as_it_is(name: str) -> None:
    plainly = reports.page("title", reports.facts({"x": "y"}), reports.table(["h"], [["c"]]), reports.gallery([]))
    page = reports.page(
        name,
        name,
        reports.facts({name: name}),
        reports.table([name], [[name]], caption=name),
        reports.section(name, reports.text(name), reports.note(name), reports.code(name), reports.link("x", name)),
        reports.picture(np.zeros((4, 4), np.uint8), name, name),
        subtitle=name,
    )
    expected = Seen(plainly).tags | {"section", "h2", "p", "div", "pre", "a", "img", "figure", "figcaption", "caption"}
    seen = Seen(page)
    assert seen.tags <= expected and not any(name.startswith("on") for name in seen.attributes)
    assert seen.text.count(name) >= 12


@pytest.mark.parametrize("name", [*HOSTILE, "$", "漢字 😀"])
def test_figures_show_it_as_it_is(name: str) -> None:
    judged = Predictions(np.eye(2), np.arange(2), 1)
    seen = Seen(str(figures.confusion(judged, ["a", name])))
    assert seen.tags <= Seen(str(figures.confusion(judged, ["a", "b"]))).tags
    assert name in seen.text


# --- terminals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["\x1b[31mred", "\x1b]0;title\x07", "a\rb", "\x9b2J", "a\x08b", "‮txt.exe", "\udcff"])
def test_what_moves_a_cursor_is_shown_instead(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    from components.core.errors import StepError
    from pipelines.cli import output

    assert plain.is_visible(plain.one_line(text)) and not plain.is_visible(text)
    assert plain.is_visible(str(StepError(f"no folder {text}", advice=text)))
    output.print_table([["a", text]])
    assert plain.is_visible(capsys.readouterr().out.rstrip("\n"))


def test_richs_markup_in_a_reason_or_note_is_text() -> None:
    from pipelines.runs import display, progress

    stream = io.StringIO()
    values = {"steps": {}, "metrics": {"[red]x": 0.5}, "accepted": False, "reasons": ["[bold]class [red]a[/]\x1b[2J"]}
    display.summary({**values, "status": "succeeded", "seconds": 1.0}, "[link=x]here", stream)
    for shown in ("[red]x", r"[bold]class [red]a[/]\u001b[2J", "[link=x]here"):
        assert shown in stream.getvalue()
    from rich.console import Console

    class Watched:
        def __init__(self) -> None:
            self.steps = {
                "train": progress.StepProgress("train", "running", reported={"note": "[red]said\x1b[2J[/nothing]"})
            }

    console = Console(file=(drawn := io.StringIO()), width=120)
    console.print(display._table(Watched()))
    assert r"[red]said\u001b[2J[/nothing]" in drawn.getvalue()


def test_ordinary_text_of_any_script_is_left_alone() -> None:
    for text in ("Trouser", "T-shirt/top", "漢字", "émoji 👩‍💻", "العربية", "10 %", "a.b: c"):
        assert plain.one_line(text) == text and plain.is_visible(text)
    assert markdown.escape("accuracy is 0.91, required >= 0.9. T-shirt/top (a) #1!") == (
        "accuracy is 0.91, required >= 0.9. T-shirt/top (a) #1!"
    )


def test_a_secret_in_a_page_or_in_markdown_is_masked() -> None:
    token = "ghp_ExampleExampleExampleExampleExample1"
    picture = reports.picture(np.zeros((4, 4), np.uint8), token, token)
    text = reports.page(token, reports.text(token), reports.facts({token: token}), picture, subtitle=token)
    assert token not in text and text.count("[removed: a GitHub token]") >= 7
    assert token not in markdown.escape(token)
