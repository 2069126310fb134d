"""The data report: the written examples, the ones left out, and a summary."""

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from components.core import reports
from components.core.examples import PreparedData
from components.prepare.filling import Filled


def page(index: PreparedData, filled: Filled, notes: Sequence[str] = (), pairs: Markup | str = "") -> str:
    """The report as one HTML page; ``notes`` are warnings, ``pairs`` the section of near duplicates."""
    facts = reports.facts(
        {
            **index.splits,
            **filled.summary.facts(),
            **(
                {"groups": ", ".join(f"{name} {count:,}" for name, count in filled.groups.items())}
                if filled.groups
                else {}
            ),
            "duplicates removed": sum(filled.duplicates.values()),
            "nearly equal across splits": sum(near.count for near in filled.near.values()),
            "quarantined": len(filled.quarantined),
            "left out": filled.reasons().total(),
            "licence": index.info["licence"],
            "fingerprint": index.fingerprint,
        }
    )
    parts = [
        facts,
        *(reports.note(note, "warning") for note in notes),
        *_notes(filled),
        pairs,
        *filled.summary.sections(list(index.splits)),
    ]
    return reports.page(f"Data: {index.source}", *parts, subtitle=index.info["text"])


def _notes(filled: Filled) -> Iterator[Markup]:
    for origin, count in filled.duplicates.items():
        if count:
            yield reports.note(f"Removed from {origin}: {count:,} examples that another split has too.", "warning")
    yield from filled.summary.notes()
    if left_out := filled.reasons().most_common():
        yield reports.section(
            "Left out", reports.text(filled.account()), reports.table(["reason", "examples"], left_out)
        )
    if filled.quarantined:
        table = reports.table(["example", "fault"], filled.quarantined, numeric=False)
        yield reports.section("Set aside", table)
