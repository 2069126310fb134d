"""Summary of labelled images for the data report: sizes, channels, brightness, and a sample."""

from collections.abc import Callable

import numpy as np
from markupsafe import Markup

from components.core import charts, reports
from components.core.examples import Records
from components.tasks._classifier.examples import LabelledSummary
from components.vision import images

BINS = 40
CLASSES_SHOWN, PICTURES_SHOWN, SIDE_SHOWN = 20, 6, 96


class ImageSummary(LabelledSummary):
    """Counts, brightness, and a few pictures of each class.

    Attributes:
        brightness: how many training examples have a mean brightness in each of BINS equal parts of 0..1.
    """

    def __init__(self, names: list[str], pixels: Callable[[bytes], np.ndarray]) -> None:
        """``pixels`` makes a stored picture an array, uint8 [height, width, channels]."""
        super().__init__(names)
        self._pixels = pixels
        self.brightness = np.zeros(BINS, np.int64)

    def update(self, records: Records, keys: np.ndarray, splits: np.ndarray) -> None:
        super().update(records, keys, splits)
        values = np.asarray(records.features["brightness"])[splits == 0]
        self.brightness += np.bincount(np.minimum(values * BINS, BINS - 1).astype(int), minlength=BINS)

    def pictures(self) -> list[list[np.ndarray]]:
        """The sampled images of each class, uint8 [height, width, channels]."""
        return [[self._pixels(content) for content in row] for row in self.sample.contents()]

    def sections(self, splits: list[str]) -> list[Markup]:
        """The page's sections."""
        sampled = self.pictures()
        shown = [
            (images.thumbnail(picture, SIDE_SHOWN), self.names[label])
            for label, row in enumerate(sampled[:CLASSES_SHOWN])
            for picture in row[:PICTURES_SHOWN]
        ]
        every = [picture for row in sampled for picture in row]
        return [
            reports.section("Pictures", reports.gallery(shown)),
            reports.section("Examples by class and split", self.table(splits)),
            reports.section("Sizes and pixels", levels(every), half=True),
            reports.section("Brightness", self._brightness(), half=True),
        ]

    def _brightness(self) -> Markup:
        label = "mean brightness of a training picture, 0 black to 1 white"
        return charts.histogram(self.brightness.tolist(), (0, 1), label, "pictures")


def levels(every: list[np.ndarray]) -> Markup:
    """Sizes and channels of pictures drawn at random from the train split."""
    sizes = np.array([picture.shape[:2] for picture in every])
    rows = [
        [name, int(values.min()), float(np.median(values)), int(values.max())]
        for name, values in (("height", sizes[:, 0]), ("width", sizes[:, 1]))
    ]
    channels = every[0].shape[-1]
    pixels = [np.concatenate([picture[..., channel].ravel() for picture in every]) for channel in range(channels)]
    titles = ("grey",) if channels == 1 else ("red", "green", "blue", "alpha")
    channel_rows = [
        [titles[channel], float(values.mean()), float(values.std()), int(values.min()), int(values.max())]
        for channel, values in enumerate(pixels)
    ]
    return Markup("\n").join(
        [
            reports.text(f"Of {len(every):,} training pictures drawn at random, as many of each class."),
            reports.table(["size", "smallest", "median", "largest"], rows),
            reports.table(["channel", "mean", "deviation", "lowest", "highest"], channel_rows),
        ]
    )
