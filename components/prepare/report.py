"""The data report: what was written, what was left out, and what it looks like."""

from types import ModuleType

from markupsafe import Markup

from components.core import reports
from components.core.examples import Examples
from components.data import DataSettings
from components.prepare.filling import SPLITS, Filled


def page(index: Examples, settings: DataSettings, filled: Filled, task: ModuleType) -> str:
    """The report as one HTML page."""
    summary = reports.facts(
        {
            "examples": sum(index.splits.values()),
            **index.splits,
            "classes": len(index.info["classes"]),
            "duplicates removed": sum(filled.duplicates.values()),
            "quarantined": len(filled.quarantined),
            "fingerprint": index.fingerprint,
        }
    )
    parts = [
        summary,
        reports.section("Counts", _counts(index, filled)),
        reports.section("Pictures", *_pictures(filled)),
    ]
    return reports.page(f"Data: {settings.name}", *parts, subtitle=str(index.info["text"]))


def _counts(index: Examples, filled: Filled) -> Markup:
    splits = [name for name in SPLITS if name in index.splits]
    rows = [
        [name, *(int(filled.profile.counts[SPLITS.index(split), label]) for split in splits)]
        for label, name in enumerate(index.info["classes"])
    ]
    return reports.table(["class", *splits], rows)


def _pictures(filled: Filled) -> list[Markup]:
    names = filled.profile.info["classes"]
    shown = [(picture, names[label]) for label, row in enumerate(filled.profile.pictures()) for picture in row[:4]]
    return [reports.gallery(shown)]
