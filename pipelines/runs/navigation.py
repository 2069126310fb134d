"""The bar of links that the pages of one run share; they are relative, so that the run's folder can be moved."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from components.core.reports import NAVIGATION, READABLE
from components.core.secrets import mask
from components.steps import STEPS
from pipelines.runs.folder import Run

FILE, FOLDER, CHAMPION = "index.html", "reports", "champion.html"
# What is written of an experiment's name beside its tabs.
BODY = "<body>"


def pages(run: Run) -> dict[str, str]:
    """The pages that the run has: path in its folder -> name in the bar."""
    every = {FILE: "Run"}
    for step in STEPS.values():
        every |= {f"{FOLDER}/{report.file}": report.tab for report in step.reports.values() if report.tab}
    every[f"{FOLDER}/{CHAMPION}"] = "Champion"
    return {path: tab for path, tab in every.items() if path == FILE or (run.folder / path).is_file()}


def bar(run: Run, values: Mapping[str, Any], current: str) -> Markup:
    """The bar of the page at the path ``current``."""
    up = "../" * current.count("/")
    items = Markup("").join(
        Markup('<li><a href="{}"{}>{}</a></li>').format(
            f"{up}{path}", Markup(' aria-current="page"') if path == current else "", tab
        )
        for path, tab in pages(run).items()
    )
    return Markup(
        '<nav aria-label="Pages of this run"><p><strong>{}</strong> <span>{}</span></p><ul>{}</ul></nav>'
    ).format(values["experiment"], values["id"], items)


def insert(run: Run, values: Mapping[str, Any]) -> None:
    """Write the bar into the pages of the steps: where they have left room for it, or, if older code has written them,
    at their beginning."""
    for path in pages(run):
        if path != FILE:
            page = run.folder / path
            text, links = (
                page.read_text(encoding="utf-8"),
                READABLE.sub(lambda match: mask(match[0]), bar(run, values, path)),
            )
            mark = str(NAVIGATION) if NAVIGATION in text else BODY
            page.write_text(text.replace(mark, links if mark == NAVIGATION else mark + links, 1), encoding="utf-8")
