"""The data report: what was written, what was left out, and what it looks like."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from components.core import reports
from components.core.examples import Examples
from components.prepare.filling import SPLITS, Filled
from components.prepare.profile import BINS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CLASSES_SHOWN, PICTURES_SHOWN, SIDE_SHOWN = 20, 6, 96
# A class with less than this share of an even distribution is named.
RARE = 0.1


def page(index: Examples, filled: Filled) -> str:
    """The report as one HTML page."""
    pictures = filled.profile.pictures()
    facts = reports.facts(
        {
            **index.splits,
            "classes": len(index.info["classes"]),
            "duplicates removed": sum(filled.duplicates.values()),
            "quarantined": len(filled.quarantined),
            "licence": index.info["licence"],
            "fingerprint": index.fingerprint,
        }
    )
    parts = [
        facts,
        *_notes(index, filled),
        reports.section("Pictures", _gallery(index, pictures)),
        reports.section("Examples by class and split", _counts(index, filled)),
        reports.section("Sizes and pixels", _pixels(pictures), reports.figure(_brightness(filled), "brightness")),
    ]
    return reports.page(f"Data: {index.source}", *parts, subtitle=index.info["text"])


def _notes(index: Examples, filled: Filled) -> Iterator[Markup]:
    for origin, count in filled.duplicates.items():
        if count:
            told = f"Removed from {origin}: {count:,} pictures that an official split has too."
            yield reports.note(told, "warning")
    trained = filled.profile.counts[0]
    names = np.array(index.info["classes"])
    if (rare := names[trained < RARE * trained.mean()].tolist()) and trained.any():
        yield reports.note(f"Few or no training examples of: {', '.join(rare[:20])}.", "warning")
    if filled.quarantined:
        table = reports.table(["example", "fault"], filled.quarantined, numeric=False)
        yield reports.section("Set aside", table)


def _counts(index: Examples, filled: Filled) -> Markup:
    splits = list(index.splits)
    columns = [filled.profile.counts[SPLITS.index(split)].tolist() for split in splits]
    rows = [list(row) for row in zip(index.info["classes"], *columns, strict=True)]
    return reports.table(["class", *splits], [["all", *map(sum, columns)], *rows])


def _gallery(index: Examples, pictures: list[list[np.ndarray]]) -> Markup:
    names = index.info["classes"]
    shown = [
        (_small(picture), names[label])
        for label, row in enumerate(pictures[:CLASSES_SHOWN])
        for picture in row[:PICTURES_SHOWN]
    ]
    return reports.gallery(shown)


def _small(picture: np.ndarray) -> np.ndarray:
    """A picture made small enough to have many of them in a page."""
    from PIL import Image

    step = max(picture.shape[:2]) / SIDE_SHOWN
    if step <= 1:
        return picture
    size = (max(1, round(picture.shape[1] / step)), max(1, round(picture.shape[0] / step)))
    image = Image.fromarray(picture.squeeze(-1) if picture.shape[-1] == 1 else picture)
    return np.asarray(image.resize(size, Image.Resampling.BOX))


def _pixels(pictures: list[list[np.ndarray]]) -> Markup:
    """Sizes and channels of the pictures kept, which are drawn at random from each class of train."""
    every = [picture for row in pictures for picture in row]
    sizes = np.array([picture.shape[:2] for picture in every])
    rows = [
        [name, int(values.min()), float(np.median(values)), int(values.max())]
        for name, values in (("height", sizes[:, 0]), ("width", sizes[:, 1]))
    ]
    channels = every[0].shape[-1]
    pixels = [np.concatenate([picture[..., channel].ravel() for picture in every]) for channel in range(channels)]
    titles = ("grey",) if channels == 1 else ("red", "green", "blue", "alpha")
    levels = [
        [titles[channel], float(values.mean()), float(values.std()), int(values.min()), int(values.max())]
        for channel, values in enumerate(pixels)
    ]
    return Markup("\n").join(
        [
            reports.text(f"Of {len(every):,} training pictures drawn at random, as many of each class."),
            reports.table(["size", "smallest", "median", "largest"], rows),
            reports.table(["channel", "mean", "deviation", "lowest", "highest"], levels),
        ]
    )


def _brightness(filled: Filled) -> "Figure":
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(6, 2.4))
    axes = drawing.add_subplot()
    edges = np.arange(BINS) / BINS
    axes.bar(edges, filled.profile.brightness, width=1 / BINS, align="edge", color="#3b6ea5")
    axes.set(xlabel="mean brightness of a training picture, 0 black to 1 white", ylabel="pictures", xlim=(0, 1))
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return drawing
