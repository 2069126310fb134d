"""The data report: the written examples, the ones left out, and a summary."""

from collections.abc import Iterator

from markupsafe import Markup

from components.core import reports
from components.core.examples import PreparedData
from components.prepare.filling import Filled


def page(index: PreparedData, filled: Filled) -> str:
    """The report as one HTML page."""
    facts = reports.facts(
        {
            **index.splits,
            **filled.summary.facts(),
            "duplicates removed": sum(filled.duplicates.values()),
            "quarantined": len(filled.quarantined),
            "licence": index.info["licence"],
            "fingerprint": index.fingerprint,
        }
    )
    parts = [facts, *_notes(filled), *filled.summary.sections(list(index.splits))]
    return reports.page(f"Data: {index.source}", *parts, subtitle=index.info["text"])


def _notes(filled: Filled) -> Iterator[Markup]:
    for origin, count in filled.duplicates.items():
        if count:
            text = f"Removed from {origin}: {count:,} examples that an official split has too."
            yield reports.note(text, "warning")
    yield from filled.summary.notes()
    if filled.quarantined:
        table = reports.table(["example", "fault"], filled.quarantined, numeric=False)
        yield reports.section("Set aside", table)
