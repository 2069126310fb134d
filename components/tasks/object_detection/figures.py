"""Figures of a detector's evaluation report: metrics by class, precision at each recall, and images."""

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from components.core import reports
from components.metrics import detection
from components.vision import box_drawing
from components.vision.box_drawing import Box

# Classes in the table and in the figure: COCO has 80.
CLASSES_SHOWN, CURVES = 100, 10
SHOWN_SIDE = 256


def parts(
    judged: detection.Predictions,
    names: Sequence[str],
    shown: Mapping[str, Sequence[tuple[int, np.ndarray]]],
) -> list[Markup]:
    """The sections.

    Args:
        shown: title -> numbers and pictures of the examples to show under it.
    """
    sections = [
        reports.section("Average precision by class", _by_class(judged, names)),
        reports.section(
            "Precision and recall",
            reports.figure(_curves(judged, names), "precision and recall"),
            reports.text("At an overlap of 0.5, along falling scores; the classes with most objects."),
        ),
    ]
    return sections + [
        reports.section(
            title,
            reports.text("Green: found, and right. Orange: found, and wrong. Yellow: missed."),
            reports.gallery([_picture(judged, names, number, pixels) for number, pixels in pictures]),
        )
        for title, pictures in shown.items()
        if pictures
    ]


def _by_class(judged: detection.Predictions, names: Sequence[str]) -> Markup:
    scores = sorted(detection.class_scores(judged).items(), key=lambda item: item[1][1])
    rows = [[names[label], *values] for label, values in scores[:CLASSES_SHOWN]]
    return reports.table(["class", "objects", "average precision", "at overlap 0.5"], rows, "the worst first")


def _curves(judged: detection.Predictions, names: Sequence[str]) -> Figure:
    precision, grid = judged.evaluation.eval["precision"][0, :, :, 0, -1], judged.evaluation.params.recThrs
    counts = {label: values[0] for label, values in detection.class_scores(judged).items()}
    drawing = Figure(figsize=(6, 4))
    axes = drawing.add_subplot()
    for label in sorted(counts, key=lambda one: -counts[one])[:CURVES]:
        axes.plot(grid, precision[:, label], label=names[label], linewidth=1.2)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return drawing


def _picture(
    judged: detection.Predictions, names: Sequence[str], number: int, pixels: np.ndarray
) -> tuple[np.ndarray, str]:
    """An image with its detections, green if right and orange if wrong, and the missed objects in yellow; a caption."""
    detections, truth, outcome = judged.detections, judged.truth, judged.outcome
    boxes = [
        Box(
            detections["boxes"][number, rank].tolist(),
            f"{names[detections['labels'][number, rank]]} {detections['scores'][number, rank]:.2f}",
            box_drawing.GREEN if outcome.is_right[number, rank] else box_drawing.ORANGE,
        )
        for rank in np.flatnonzero(outcome.sure[number]).tolist()
    ]
    boxes += [
        Box(
            truth["boxes"][number, index].tolist(),
            f"missed: {names[truth['labels'][number, index]]}",
            box_drawing.YELLOW,
        )
        for index in np.flatnonzero(outcome.is_missed[number]).tolist()
    ]
    caption = f"{outcome.right[number]} right, {outcome.wrong[number]} wrong, {outcome.missed[number]} missed"
    return box_drawing.draw(pixels, boxes, SHOWN_SIDE), caption
