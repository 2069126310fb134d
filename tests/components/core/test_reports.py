import re

import numpy as np
import pytest

from components.core import reports


def test_everything_given_as_text_is_escaped() -> None:
    hostile = "<script>alert(1)</script>"
    parts = [
        reports.text(hostile),
        reports.section(hostile, reports.note(hostile)),
        reports.table([hostile], [[hostile]], caption=hostile),
        reports.facts({hostile: hostile}),
        reports.gallery([(np.zeros((2, 2), np.uint8), hostile)]),
        reports.link("#", hostile),
        hostile,
    ]
    assert "<script>alert" not in reports.page(hostile, *parts, subtitle=hostile)


def test_a_page_loads_nothing_from_elsewhere() -> None:
    from matplotlib import pyplot

    drawing, axes = pyplot.subplots()
    axes.plot([1, 2], [3, 4])
    html = reports.page("t", reports.figure(drawing, "a line"), reports.picture(np.zeros((4, 4, 3), np.uint8), "black"))
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", html)


def test_the_same_figure_gives_the_same_bytes() -> None:
    from matplotlib import pyplot

    def drawn() -> str:
        drawing, axes = pyplot.subplots()
        axes.bar(["a", "b"], [3, 4])
        return str(reports.figure(drawing, "bars"))

    assert drawn() == drawn()


def test_two_figures_share_no_id() -> None:
    from matplotlib import pyplot

    def ids(alt: str) -> set[str]:
        drawing, axes = pyplot.subplots()
        axes.plot([1, 2], [3, 4])
        return set(re.findall(r'\bid="([^"]+)"', str(reports.figure(drawing, alt))))

    assert ids("first") and not ids("first") & ids("second")


@pytest.mark.parametrize(
    ("value", "expected"),
    [(True, "yes"), (1234567, "1,234,567"), (0.123456, "0.1235"), (123456.7, "123,457"), ("a<b", "a&lt;b")],
)
def test_values_are_shown_as_people_read_them(value: object, expected: str) -> None:
    assert reports.format_value(value) == expected
